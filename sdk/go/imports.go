package talon

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/v2/client"
)

// Message is a line of an import: a request of an operation of the registry.
type Message struct {
	Method string `json:"Method"`         // such as http.MethodPut
	Path   string `json:"Path"`           // with the query: /registry/lpus/…/schedule?from=…
	Body   any    `json:"Body,omitempty"` // for example a client.ScheduleRequest
}

// ImportOptions configure an import. With the zero value, good lines are applied and bad ones are
// listed.
type ImportOptions struct {
	DryRun  bool                             // check the lines and apply none
	OnError client.CreateImportParamsOnError // what happens if a line is bad; empty means skip
	// Of says what a row of a CSV file is. If it is empty, the file is NDJSON.
	Of client.CreateImportParamsOf
	// Version is that of the rows of a CSV file without a column Version. Zero means the time of
	// the import.
	Version int64
	Gzip    bool // compress the file while it is sent
}

// Import sends messages to the service, which then applies them in the background: pass the GUID
// of the result to [FinishImport]. The loop over messages runs in another goroutine while they are
// sent, and ends before Import returns. An error of the loop ends the upload, and nothing is
// applied.
//
// Options.Within does not limit an upload. If Options.HTTP is nil or an [*http.Client], its Timeout
// does not limit the whole upload either, but the time in which the service takes no data, and the
// time until it responds. The client sends the messages once. After an error other than a
// [*Refusal] or that of the loop, it is unknown whether the import exists. Send the messages again:
// what is already applied changes nothing.
func Import(
	ctx context.Context, api *client.ClientWithResponses, messages iter.Seq2[Message, error], options ImportOptions,
) (*client.Import, error) {
	return upload(ctx, api, options, func(w *uploadWriter) error {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		for message, err := range messages {
			if err != nil {
				return err
			}
			if err := encoder.Encode(message); err != nil {
				return err
			}
		}
		return nil
	})
}

// ImportFile is like [Import], but reads a file: NDJSON, or CSV if options.Of is set. Its last Read
// ends before ImportFile returns. It does not close the file.
func ImportFile(
	ctx context.Context, api *client.ClientWithResponses, file io.Reader, options ImportOptions,
) (*client.Import, error) {
	return upload(ctx, api, options, func(w *uploadWriter) error {
		_, err := io.Copy(w, file)
		return err
	})
}

// upload sends what write writes as the body of a new import.
func upload(
	ctx context.Context, api *client.ClientWithResponses, options ImportOptions, write func(*uploadWriter) error,
) (*client.Import, error) {
	params := &client.CreateImportParams{DryRun: &options.DryRun}
	mediaType := "application/x-ndjson"
	if options.Of != "" {
		mediaType, params.Of = "text/csv", &options.Of
	}
	if options.OnError != "" {
		params.OnError = &options.OnError
	}
	if options.Version != 0 {
		params.Version = &options.Version
	}
	encoding := func(_ context.Context, request *http.Request) error {
		if options.Gzip {
			request.Header.Set("Content-Encoding", "gzip")
		}
		return nil
	}
	body, pipe := io.Pipe()
	written := make(chan error, 1)
	go func() {
		w := newUploadWriter(pipe, options.Gzip)
		err := write(w)
		if err == nil {
			err = w.close()
		}
		_ = pipe.CloseWithError(err) // never fails
		written <- err
	}()
	response, err := api.CreateImportWithBodyWithResponse(ctx, params, mediaType, body, encoding)
	_ = body.Close() // ends the goroutine with io.ErrClosedPipe, if it still writes
	if sourceErr := <-written; sourceErr != nil && !errors.Is(sourceErr, io.ErrClosedPipe) {
		return nil, fmt.Errorf("talon: read the source of the import: %w", sourceErr)
	}
	switch {
	case err != nil:
		return nil, err
	case response.JSON202 == nil:
		return nil, fmt.Errorf("talon: status %d without a document of the contract", response.StatusCode())
	default:
		return response.JSON202, nil
	}
}

// Small writes of an upload are sent together, up to batchSize bytes. They wait for others for
// about batchTime, if the source is slow.
const (
	batchSize = 64 << 10
	batchTime = time.Second
)

// uploadWriter collects small writes, and compresses them if zip is not nil.
type uploadWriter struct {
	zip     *gzip.Writer
	batch   *bufio.Writer
	flushed time.Time
}

func newUploadWriter(w io.Writer, compress bool) *uploadWriter {
	u := &uploadWriter{batch: bufio.NewWriterSize(w, batchSize), flushed: time.Now()}
	if compress {
		u.zip = gzip.NewWriter(u.batch)
	}
	return u
}

// Write implements io.Writer.
func (u *uploadWriter) Write(p []byte) (int, error) {
	var w io.Writer = u.batch
	if u.zip != nil {
		w = u.zip
	}
	n, err := w.Write(p)
	if err != nil || time.Since(u.flushed) < batchTime {
		return n, err
	}
	u.flushed = time.Now()
	if u.zip != nil {
		if err := u.zip.Flush(); err != nil {
			return n, err
		}
	}
	return n, u.batch.Flush()
}

// close writes what is left.
func (u *uploadWriter) close() error {
	if u.zip != nil {
		if err := u.zip.Close(); err != nil {
			return err
		}
	}
	return u.batch.Flush()
}

// The first and the longest pause between two requests for the state of an import.
const (
	firstPoll   = 200 * time.Millisecond
	longestPoll = 5 * time.Second
)

// FinishImport waits until an import has finished and returns its state, which counts the good and
// the bad lines: [AllImportErrors] returns the bad ones. The State of a finished import need not be
// completed. progress is called with each state, also the last one; it may be nil. The import does
// not depend on FinishImport: after an error, call it again.
func FinishImport(
	ctx context.Context, api *client.ClientWithResponses, importGuid uuid.UUID, progress func(*client.Import),
) (*client.Import, error) {
	for pause := firstPoll; ; pause = min(pause*3/2, longestPoll) {
		state, err := Answer(api.GetImportWithResponse(ctx, importGuid))
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(state)
		}
		if state.FinishedAt != nil {
			return state, nil
		}
		if err := wait(ctx, pause); err != nil {
			return nil, fmt.Errorf("talon: wait for the import: %w", err)
		}
	}
}
