package postgres

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// RegisterUUID makes pgx encode and decode uuid.UUID as sixteen bytes. By default pgx uses the
// type's database/sql methods, through text, which takes six allocations for each value read. The
// wrappers of github.com/vgarvardt/pgx-google-uuid do not help reads, because pgx tries the
// database/sql methods first.
func RegisterUUID(types *pgtype.Map) {
	element := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	types.RegisterType(element)
	array := &pgtype.ArrayCodec{ElementType: element}
	types.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: array})
	types.RegisterDefaultPgType(uuid.UUID{}, "uuid")
	types.RegisterDefaultPgType([]uuid.UUID{}, "_uuid")
}

type uuidCodec struct{ pgtype.UUIDCodec }

// PlanEncode implements pgtype.Codec.
func (c uuidCodec) PlanEncode(types *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case uuid.UUID:
			return encodeUUID{}
		case *uuid.UUID:
			return encodeUUIDPointer{}
		}
	}
	return c.UUIDCodec.PlanEncode(types, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c uuidCodec) PlanScan(types *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return scanUUID{}
	}
	return c.UUIDCodec.PlanScan(types, oid, format, target)
}

type encodeUUID struct{}

// Encode implements pgtype.EncodePlan.
func (encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	guid := value.(uuid.UUID) //nolint:forcetypeassert // PlanEncode checked the type
	return append(buf, guid[:]...), nil
}

// encodeUUIDPointer encodes a pointer that is not nil. pgx sends nil as null itself.
type encodeUUIDPointer struct{}

// Encode implements pgtype.EncodePlan.
func (encodeUUIDPointer) Encode(value any, buf []byte) ([]byte, error) {
	guid := value.(*uuid.UUID) //nolint:forcetypeassert // PlanEncode checked the type
	return append(buf, guid[:]...), nil
}

type scanUUID struct{}

// Scan implements pgtype.ScanPlan.
func (scanUUID) Scan(source []byte, target any) error {
	if source == nil {
		return errors.New("cannot scan NULL into *uuid.UUID")
	}
	if len(source) != len(uuid.UUID{}) {
		return fmt.Errorf("uuid has %d bytes, not 16", len(source))
	}
	copy(target.(*uuid.UUID)[:], source) //nolint:forcetypeassert // PlanEncode checked the type
	return nil
}
