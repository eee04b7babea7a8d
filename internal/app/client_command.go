package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/command"
	"talon.example/internal/postgres"
)

const clientUsage = `talon client administers the client applications (клиентские приложения).

  talon client create --name NAME
                           add one, and show its guid and its secret once
                           (for a patient: --visit-direction, --visit-direction-other-lpu, --out-of-schedule;
                           for itself: --scopes, and --lpus or --every-lpu; --public-keys instead of a secret)
  talon client rotate --client GUID
                           give it a new secret, and show it once (--overlap: how long the old one is valid)
  talon client disable --client GUID
                           reject its tokens and credentials, within a second
  talon client enable --client GUID
                           accept them again
  talon client list        show all of them

DATABASE_URL is the address of the database.
`

// subcommand is one command of several, such as those of talon client.
type subcommand = func(context.Context, *command.Env, *flag.FlagSet, []string) error

// client runs a subcommand of talon client.
func client(ctx context.Context, env *command.Env, args []string) error {
	return runSubcommand(ctx, env, args, "client", clientUsage, map[string]subcommand{
		"create": createClient, "rotate": rotateClient, "disable": disableClient, "enable": enableClient,
		"list": listClients,
	})
}

// runSubcommand runs the subcommand of a command that the arguments name, or prints the usage.
func runSubcommand(
	ctx context.Context, env *command.Env, args []string, name, usage string, run map[string]subcommand,
) error {
	if len(args) == 0 || command.IsHelp(args[0]) {
		fmt.Fprint(env.Stdout, usage)
		return nil
	}
	flags := flag.NewFlagSet(name+" "+args[0], flag.ContinueOnError)
	if run[args[0]] == nil {
		return env.UsageError(flags, "unknown command\n\n%s", usage)
	}
	return run[args[0]](ctx, env, flags, args[1:])
}

// createClient prints the secret to standard output only, so that it can be piped into a secret
// store.
func createClient(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	name := flags.String("name", "", "name of the client application (required)")
	allScopes := strings.Join(booking.Scopes, ",")
	scopes := flags.String("scopes", "", "what it may do for itself, separated by commas: "+allScopes)
	lpus := flags.String("lpus", "", "guids of the institutions that it acts for, separated by commas")
	everyLpu := flags.Bool("every-lpu", false, "it acts for all institutions of the region")
	const bits = "1 Registry, 2 Doctor, 4 Internet, 8 DoctorOtherLpu, 16 Infomat, 64 CallCenter"
	const sumOfBits = "must be a sum of " + bits
	sameLpu := flags.Uint("visit-direction", 0,
		"bits of the cells it may take by a referral within one institution: "+bits)
	otherLpu := flags.Uint("visit-direction-other-lpu", 0, "the same by a referral into another institution")
	outOfSchedule := flags.Bool("out-of-schedule", false, "it may book out of schedule")
	keysFile := flags.String("public-keys", "", "file of a JWK set for private_key_jwt; it then has no secret")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	added := booking.Client{
		Guid: uuid.New(), Name: strings.TrimSpace(*name),
		System: booking.SystemRights{Scopes: splitList(*scopes), EveryLpu: *everyLpu},
	}
	for _, scope := range added.System.Scopes {
		if !slices.Contains(booking.Scopes, scope) {
			return env.UsageError(flags, "--scopes: unknown scope %q, want some of %s", scope, allScopes)
		}
	}
	for _, text := range splitList(*lpus) {
		lpu, err := env.Guid(flags, "lpus", text)
		if err != nil {
			return err
		}
		added.System.Lpus = append(added.System.Lpus, lpu)
	}
	switch {
	case added.Name == "":
		return env.UsageError(flags, "--name must be given")
	case !isOneLine(added.Name):
		return env.UsageError(flags, "--name must be UTF-8 without control characters")
	case *sameLpu&^uint(booking.AccessAll) != 0:
		return env.UsageError(flags, "--visit-direction %s", sumOfBits)
	case *otherLpu&^uint(booking.AccessAll) != 0:
		return env.UsageError(flags, "--visit-direction-other-lpu %s", sumOfBits)
	case len(added.System.Lpus) > booking.MaxClientLpus:
		return env.UsageError(flags, "--lpus must be at most %d", booking.MaxClientLpus)
	case *everyLpu && len(added.System.Lpus) > 0:
		return env.UsageError(flags, "--lpus and --every-lpu cannot be given together")
	case len(added.System.Scopes) > 0 && !*everyLpu && len(added.System.Lpus) == 0:
		return env.UsageError(flags, "--scopes needs --lpus or --every-lpu")
	}
	added.Rights = booking.Rights{
		SameLpu: booking.Access(*sameLpu), OtherLpu: booking.Access(*otherLpu), OutOfSchedule: *outOfSchedule,
	}
	keys, err := readKeys(*keysFile)
	if err != nil {
		return err
	}
	return withClients(ctx, env, func(clients *booking.Service) error {
		secret, err := clients.AddClient(ctx, added, keys)
		if err != nil {
			return err
		}
		printCredentials(env, added.Guid, secret)
		return nil
	})
}

// isOneLine reports whether a name can be printed in a table: it is UTF-8 and has no control
// character.
func isOneLine(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// splitList returns the elements of a list separated by commas, without repetitions.
func splitList(text string) []string {
	elements := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(elements)
	return slices.Compact(elements)
}

// maxKeysFile is the maximum size of a file of public keys in bytes. The database has the same
// limit.
const maxKeysFile = 64 << 10

// readKeys reads and checks a file with a JWK set. It returns nil for an empty path.
func readKeys(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--public-keys: %w", err)
	}
	defer file.Close()
	keys, err := io.ReadAll(io.LimitReader(file, maxKeysFile+1))
	if err == nil && len(keys) > maxKeysFile {
		err = fmt.Errorf("larger than %d bytes", maxKeysFile)
	}
	if err == nil {
		err = auth.CheckKeys(keys)
	}
	if err != nil {
		return nil, fmt.Errorf("--public-keys: %w", err)
	}
	return keys, nil
}

// rotateClient prints the new secret to standard output only.
func rotateClient(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	const maxOverlap = 30 * 24 * time.Hour
	overlap := flags.Duration("overlap", 24*time.Hour,
		"how long the old secret stays valid, at most 720h; the one before it ends at once")
	return withClient(ctx, env, flags, args, func(clients *booking.Service, client uuid.UUID) error {
		if *overlap < 0 || *overlap > maxOverlap {
			return env.UsageError(flags, "--overlap must be between 0 and 720h")
		}
		secret, err := clients.RotateSecret(ctx, client, *overlap)
		if err != nil {
			return err
		}
		printCredentials(env, client, secret)
		return nil
	})
}

// printCredentials prints the guid of a client application, and its secret unless it has none.
func printCredentials(env *command.Env, client uuid.UUID, secret string) {
	fmt.Fprintf(env.Stdout, "client_id=%s\n", client)
	if secret != "" {
		fmt.Fprintf(env.Stdout, "client_secret=%s\n", secret)
	}
}

func disableClient(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	return withClient(ctx, env, flags, args, func(clients *booking.Service, client uuid.UUID) error {
		return clients.SetClientActive(ctx, client, false)
	})
}

func enableClient(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	return withClient(ctx, env, flags, args, func(clients *booking.Service, client uuid.UUID) error {
		return clients.SetClientActive(ctx, client, true)
	})
}

// listClients prints a table without secrets.
func listClients(ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string) error {
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	return withClients(ctx, env, func(clients *booking.Service) error {
		all, err := clients.Clients(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "GUID\tACTIVE\tCREDENTIALS\tBITS\tSCOPES\tINSTITUTIONS\tNAME")
		for i := range all {
			one := &all[i]
			fmt.Fprintf(table, "%s\t%t\t%s\t%s\t%s\t%s\t%s\n", one.Guid, one.Active, credentialsText(one),
				bitsText(one.Rights), orDash(strings.Join(one.System.Scopes, ",")), lpusText(one.System), one.Name)
		}
		return table.Flush()
	})
}

func credentialsText(client *booking.Client) string {
	var kinds []string
	if client.HasSecret {
		kinds = append(kinds, "secret")
	}
	if client.PreviousUntil.After(time.Now()) {
		kinds = append(kinds, "old secret until "+client.PreviousUntil.UTC().Format(time.RFC3339))
	}
	if client.HasKeys {
		kinds = append(kinds, "keys")
	}
	return orDash(strings.Join(kinds, ", "))
}

// bitsText returns the bits within one institution and into another one.
func bitsText(rights booking.Rights) string {
	text := fmt.Sprintf("%d/%d", rights.SameLpu, rights.OtherLpu)
	if rights.OutOfSchedule {
		text += " out of schedule"
	}
	return text
}

func lpusText(rights booking.SystemRights) string {
	if rights.EveryLpu {
		return "all"
	}
	guids := make([]string, len(rights.Lpus))
	for i, lpu := range rights.Lpus {
		guids[i] = lpu.String()
	}
	return orDash(strings.Join(guids, ","))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// withClient parses the flags and calls do with the client application of the flag --client.
func withClient(
	ctx context.Context, env *command.Env, flags *flag.FlagSet, args []string,
	do func(*booking.Service, uuid.UUID) error,
) error {
	text := flags.String("client", "", "guid of the client application (required)")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	client, err := env.Guid(flags, "client", *text)
	if err != nil {
		return err
	}
	return withClients(ctx, env, func(clients *booking.Service) error { return do(clients, client) })
}

// withClients calls do with a service on the database of DATABASE_URL.
func withClients(ctx context.Context, env *command.Env, do func(*booking.Service) error) error {
	return withStore(ctx, env, func(store *postgres.Store) error {
		return do(booking.NewService(store.Ports(), time.Now))
	})
}

// withStore calls do with a store on the database of DATABASE_URL.
func withStore(ctx context.Context, env *command.Env, do func(*postgres.Store) error) error {
	pool, err := openDatabase(ctx, env.Variables["DATABASE_URL"], 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(postgres.NewStore(pool, postgres.ReferenceAge))
}
