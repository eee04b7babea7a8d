package app

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/command"
	"talon.example/internal/httpapi"
	"talon.example/internal/registry"
)

// shownErrors is how many bad lines are shown.
const shownErrors = 20

const importUsage = `talon import loads a file of messages into the database (загрузка), with all rights.

  talon import [flags] FILE     FILE is CSV with --of, else NDJSON; .gz and .zst are decompressed;
                                - reads standard input
  talon import --resume GUID    go on with an import that was interrupted

POST /registry/imports in the contract describes the lines and the columns. DATABASE_URL is the address of the database.
`

// importFlags are the flags of talon import.
type importFlags struct {
	options registry.ImportOptions
	of      string
	version int64
	resume  uuid.UUID
	file    string
}

// importFile uploads a file and applies it, like an import of a client application.
func importFile(ctx context.Context, env *command.Env, args []string) error {
	flags, err := parseImport(env, args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, nil))
	imports, closeAll, err := OpenImports(ctx, env.Variables["DATABASE_URL"], log, time.Now)
	if err != nil {
		return err
	}
	defer closeAll()
	guid := flags.resume
	if guid == uuid.Nil {
		guid, err = uploadFile(ctx, env, imports, flags)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: the file was not read to its end; nothing is imported", context.Cause(ctx))
		} else if err != nil {
			return err
		}
	}
	bar := newBar(env, -1, "applying")
	result, err := imports.Finish(ctx, guid, func(i *registry.Import) {
		bar.ChangeMax64(i.Total)
		_ = bar.Set64(i.Done.Lines)
	})
	_ = bar.Clear()
	const notEnded = "the import has not ended; it goes on with: talon import --resume"
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s %s", context.Cause(ctx), notEnded, guid)
	case isRefusal(err, booking.ImportAbsent):
		return fmt.Errorf("--resume %s: the administrator has no such import (any more)", guid)
	case err != nil:
		return fmt.Errorf("%w: %s %s", databaseError(err), notEnded, guid)
	}
	return printImport(ctx, env, imports, &result)
}

func parseImport(env *command.Env, args []string) (*importFlags, error) {
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(env.Stderr, importUsage, "\nFlags:\n")
		flags.PrintDefaults()
	}
	var parsed importFlags
	flags.BoolVar(&parsed.options.DryRun, "dry-run", false, "check the lines, apply none")
	all := flags.Bool("all-or-nothing", false, "apply the lines only if all of them are good")
	objects := strings.Join(httpapi.CSVObjects(), ", ")
	flags.StringVar(&parsed.of, "of", "", "FILE is CSV; what a row is: "+objects)
	flags.Int64Var(&parsed.version, "version", 0,
		"version of the rows of a CSV file that have none (default: the time in milliseconds since 1970)")
	resume := flags.String("resume", "", "guid of an import that was interrupted, instead of FILE and the other flags")
	if err := env.ParseUpTo(flags, args, 1); err != nil {
		return nil, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	parsed.options.OnError, parsed.file = registry.SkipBad, flags.Arg(0)
	if *all {
		parsed.options.OnError = registry.RejectBad
	}
	var err error
	if given["resume"] {
		parsed.resume, err = env.Guid(flags, "resume", *resume)
	}
	if !given["version"] {
		parsed.version = time.Now().UnixMilli()
	}
	plain := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(parsed.file), ".gz"), ".zst")
	isCSV := given["of"] || filepath.Ext(plain) == ".csv"
	switch {
	case err != nil:
		return nil, err
	case given["resume"] && (len(given) > 1 || parsed.file != ""):
		return nil, env.UsageError(flags, "--resume has the file and the flags of the import; give nothing else")
	case !given["resume"] && parsed.file == "":
		err := env.UsageError(flags, "FILE or --resume must be given")
		flags.Usage()
		return nil, err
	case isCSV && !slices.Contains(httpapi.CSVObjects(), parsed.of):
		return nil, env.UsageError(flags, "--of must be one of %s", objects)
	case given["version"] && !isCSV:
		return nil, env.UsageError(flags, "--version is for CSV files: --of must be given")
	case parsed.version < 1:
		return nil, env.UsageError(flags, "--version must be at least 1")
	}
	return &parsed, nil
}

// uploadFile stores a file as an import, and returns its guid.
func uploadFile(
	ctx context.Context, env *command.Env, imports *registry.Imports, flags *importFlags,
) (uuid.UUID, error) {
	file, size := os.Stdin, int64(-1)
	if flags.file != "-" {
		opened, err := os.Open(flags.file)
		if err != nil {
			return uuid.Nil, err //nolint:wrapcheck // it names the file
		}
		defer func() { _ = opened.Close() }()
		if info, err := opened.Stat(); err == nil {
			size = info.Size()
		}
		file = opened
	}
	bar := newBar(env, size, "reading")
	content, err := decompress(flags.file, interruptible(ctx, io.TeeReader(file, bar)))
	if err != nil {
		return uuid.Nil, err
	}
	source := registry.Lines(content)
	if flags.of != "" {
		if source, err = httpapi.NewCSV(content, api.CreateImportParamsOf(flags.of), flags.version); err != nil {
			return uuid.Nil, badFile(flags.file, err)
		}
	}
	accepted, err := imports.Upload(ctx, Administrator, flags.options, source)
	_ = bar.Clear()
	if err != nil {
		return uuid.Nil, badFile(flags.file, err)
	}
	fmt.Fprintf(env.Stderr, "import %s: %d messages\n", accepted.Guid, accepted.Total)
	return accepted.Guid, nil
}

// interruptible returns a reader of content that fails when ctx is done, also while it waits for
// content. Its goroutine ends at the end of content, or with the process.
func interruptible(ctx context.Context, content io.Reader) io.Reader {
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(writer, content)
		_ = writer.CloseWithError(err) // nil: the end
	}()
	return reader
}

// badFile returns the error of a file, with the message of a refusal, which names the line.
func badFile(file string, err error) error {
	refusal := new(booking.Refusal)
	switch {
	case !errors.As(err, &refusal):
		return fmt.Errorf("read %s: %w", file, err)
	case refusal.Status >= http.StatusInternalServerError:
		return databaseError(err)
	default:
		return fmt.Errorf("read %s: %s (%w)", file, refusal.Message, err)
	}
}

// databaseError returns an error that names the setting, if the database is not available.
func databaseError(err error) error {
	if refusal := new(booking.Refusal); errors.As(err, &refusal) && refusal.Status == http.StatusServiceUnavailable {
		return fmt.Errorf("the database of DATABASE_URL: %w", err)
	}
	return err
}

// isRefusal reports whether err is the refusal of a rule.
func isRefusal(err error, rule booking.Name) bool {
	refusal := new(booking.Refusal)
	return errors.As(err, &refusal) && refusal.Rule == rule
}

// decompress returns the plain content of a file by the end of its name.
func decompress(name string, content io.Reader) (io.Reader, error) {
	ending := strings.ToLower(filepath.Ext(name))
	if ending != ".gz" && ending != ".zst" {
		return content, nil
	}
	buffered := bufio.NewReader(content)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("decompress %s: the file has no content", name)
	}
	switch ending {
	case ".gz":
		plain, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", name, err)
		}
		return plain, nil
	default:
		plain, err := zstd.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompress %s: %w", name, err)
		}
		return plain.IOReadCloser(), nil
	}
}

// newBar returns a progress bar, which is shown if standard error is a terminal. most is -1 if it
// is not known.
func newBar(env *command.Env, most int64, what string) *progressbar.ProgressBar {
	terminal, isFile := env.Stderr.(*os.File)
	return progressbar.NewOptions64(most,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(env.Stderr),
		progressbar.OptionSetVisibility(isFile && term.IsTerminal(int(terminal.Fd()))),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
	)
}

var errBadImport = errors.New("the import has bad lines, or has failed")

// printImport prints the result of an import that has ended, and returns an error if it was not
// good.
func printImport(ctx context.Context, env *command.Env, imports *registry.Imports, i *registry.Import) error {
	lineErrors, err := imports.Errors(ctx, uuid.Nil, i.Guid, 0, shownErrors)
	if err != nil {
		return err
	}
	for _, one := range lineErrors {
		var body api.Error
		if err := json.Unmarshal(one.Error, &body); err != nil {
			return fmt.Errorf("read the stored error of a line: %w", err)
		}
		fmt.Fprintf(env.Stdout, "line %d: %s: %s\n", one.Line, body.Rule, body.Message)
	}
	if more := i.Done.Failed - int64(len(lineErrors)); more > 0 {
		fmt.Fprintf(env.Stdout, "and %d more: the table import_error has the first 10000, with import_guid = '%s'\n",
			more, i.Guid)
	}
	changed := "have changed something"
	if i.DryRun || i.State == registry.ImportRejected {
		changed = "would change something"
	}
	fmt.Fprintf(env.Stdout, "%s: %d of %d messages, %d %s, %d are bad\n",
		i.State, i.Done.Lines, i.Total, i.Done.Changed, changed, i.Done.Failed)
	fmt.Fprintf(env.Stdout,
		"cells: %d added, %d changed, %d withdrawn, %d unchanged, %d superseded, %d in conflict with visits\n",
		i.Done.CellsAdded, i.Done.CellsChanged, i.Done.CellsWithdrawn, i.Done.CellsUnchanged, i.Done.CellsSuperseded,
		i.Done.Conflicts)
	if i.Problem != "" {
		fmt.Fprintln(env.Stdout, i.Problem)
	}
	if i.Done.Failed > 0 || i.State != registry.ImportCompleted {
		return errBadImport
	}
	return nil
}
