package app

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"talon.example/gen/db"
	"talon.example/internal/command"
	"talon.example/internal/postgres"
)

// maxBusyTypeName is the maximum length of the name of a kind of cells, in characters.
const maxBusyTypeName = 200

const busyTypeUsage = `talon busy-type administers the kinds of cells (типы занятости), which the region defines. A
schedule can only have cells of these kinds.

  talon busy-type put --code CODE --name NAME
                           add one, or replace the one with this code
                           (--reception: its cells take visits)
  talon busy-type list     show all of them

DATABASE_URL is the address of the database. Services take a change within a second.
`

// busyType runs a subcommand of talon busy-type.
func busyType(ctx context.Context, env *command.Env, args []string) error {
	return runSubcommand(ctx, env, args, "busy-type", busyTypeUsage, map[string]subcommand{
		"put": putBusyType, "list": listBusyTypes,
	})
}

func putBusyType(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	code := flags.String("code", "", "code of the kind, as in BusyType of a cell (required)")
	name := flags.String("name", "", "name of the kind (required)")
	reception := flags.Bool("reception", false, "its cells take visits")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	number, err := strconv.ParseInt(*code, 10, 32)
	kind := db.BusyType{Code: int32(number), Name: strings.TrimSpace(*name), Reception: *reception}
	switch {
	case err != nil:
		return env.UsageError(flags, "--code must be an integer of 32 bits")
	case kind.Name == "":
		return env.UsageError(flags, "--name must be given")
	case !isOneLine(kind.Name) || utf8.RuneCountInString(kind.Name) > maxBusyTypeName:
		return env.UsageError(flags, "--name must be UTF-8 of at most %d characters, without control characters",
			maxBusyTypeName)
	}
	return withStore(ctx, env, func(store *postgres.Store) error { return store.PutBusyType(ctx, kind) })
}

func listBusyTypes(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	return withStore(ctx, env, func(store *postgres.Store) error {
		all, err := store.BusyTypes(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CODE\tVISITS\tNAME")
		for _, kind := range all {
			fmt.Fprintf(table, "%d\t%t\t%s\n", kind.Code, kind.Reception, kind.Name)
		}
		return table.Flush()
	})
}
