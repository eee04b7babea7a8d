/**
 * A value that a newer service returns and this version of the package does not know. At run time it
 * is that value, a string. The type is an enum because its only value differs from all known ones:
 * so a `switch` over the known values leaves `Unknown` for its `default`.
 */
declare enum Unknown {
  Value = 'a value that this version of the package does not know',
}
export type { Unknown };

/** The known values of a type such as `Rule`: without `Unknown`. */
export type Known<Value> = Exclude<Value, Unknown>;
