package registry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"talon.example/internal/booking"
)

// MaxMessage is the maximum length of a line of an import, in bytes.
const MaxMessage = 1 << 20

// Message is a message of an import: a JSON object with the fields Method, Path and Body, or a line
// of which none can be made.
type Message struct {
	Line    int64 // in the file, from 1
	Content []byte
	Problem *booking.FieldProblem // instead of the content
}

// MessageSource returns the messages of a file.
type MessageSource interface {
	// Next returns the next message, which is valid until the next call, or io.EOF.
	Next() (Message, error)
}

// BadLine rejects a file because of a line: the rest cannot be read, or must not be applied. The
// message names the line in Russian.
func BadLine(line int64, problem booking.Problem) error {
	number := strconv.FormatInt(line, 10)
	refusal := booking.InvalidField("line "+number, problem)
	refusal.Message = "Строка " + number + ": " + problem.Text
	return refusal
}

// Lines returns the messages of an NDJSON file: one in each line. Empty lines are skipped. Next
// rejects with BadLine if a line is longer than MaxMessage.
func Lines(file io.Reader) MessageSource {
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 64<<10), MaxMessage+2) // with CR and LF
	return &lines{scanner: scanner}
}

type lines struct {
	scanner *bufio.Scanner
	line    int64
}

func (l *lines) Next() (Message, error) {
	for l.scanner.Scan() {
		l.line++
		content := bytes.TrimSpace(l.scanner.Bytes())
		if l.line == 1 {
			content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
		}
		if len(content) > 0 {
			return Message{Line: l.line, Content: content}, nil
		}
	}
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return Message{}, BadLine(l.line+1, booking.ProblemTooLong(MaxMessage))
	case err != nil:
		return Message{}, err //nolint:wrapcheck // the reader's refusal
	default:
		return Message{}, io.EOF
	}
}

// chunkSize is the size of a chunk before compression, apart from its last message. It is large
// enough for the schedules of several resources, because the messages of one do not run
// concurrently.
const chunkSize = 4 << 20

// maxChunkMessages bounds the messages of a chunk, because one of a few bytes takes more than a
// kilobyte of memory while it runs. Only messages of less than 420 bytes reach it before chunkSize.
// It also bounds how long the imports of other client applications wait for a chunk.
const maxChunkMessages = 10_000

// chunkWriter collects messages: a line each, with the number of the line, a tab, and the content
// without line breaks. After the number of a line with a problem, there is badMark, and the problem
// is the content.
type chunkWriter struct {
	content  bytes.Buffer
	messages int64
}

const badMark = "!"

// storedProblem is a problem of a line in a chunk.
type storedProblem struct {
	Name string `json:"name"`
	Code string `json:"code"`
	Text string `json:"text"`
}

// compression of chunks. Both are safe for concurrent use by EncodeAll and DecodeAll.
var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*chunkSize))
)

func newChunkWriter() *chunkWriter { return &chunkWriter{} }

func (w *chunkWriter) add(m Message) error {
	content, mark := m.Content, ""
	if m.Problem != nil {
		var err error
		if content, err = json.Marshal(storedProblem{m.Problem.Name, m.Problem.Code, m.Problem.Text}); err != nil {
			return fmt.Errorf("encode the problem of a line: %w", err)
		}
		mark = badMark
	}
	w.content.WriteString(strconv.FormatInt(m.Line, 10) + mark)
	w.content.WriteByte('\t')
	w.content.Write(content)
	w.content.WriteByte('\n')
	w.messages++
	return nil
}

func (w *chunkWriter) full() bool {
	return w.content.Len() >= chunkSize || w.messages >= maxChunkMessages
}

// take returns the compressed messages and their number, and begins a new chunk.
func (w *chunkWriter) take() ([]byte, int64) {
	content, messages := encoder.EncodeAll(w.content.Bytes(), nil), w.messages
	w.content.Reset()
	w.messages = 0
	return content, messages
}

// readChunk returns the messages of a chunk in parts of at most maxChunkMessages, which are valid
// until the next part. Chunks that were stored by a release before this bound have several parts.
func readChunk(content []byte) iter.Seq2[[]Message, error] {
	return func(yield func([]Message, error) bool) {
		plain, err := decoder.DecodeAll(content, nil)
		if err != nil {
			yield(nil, fmt.Errorf("decompress a part of the import: %w", err))
			return
		}
		var part []Message
		for line := range bytes.Lines(plain) {
			message, err := readMessage(line)
			if err != nil {
				yield(nil, err)
				return
			}
			part = append(part, message)
			if len(part) == maxChunkMessages {
				if !yield(part, nil) {
					return
				}
				part = part[:0]
			}
		}
		if len(part) > 0 {
			yield(part, nil)
		}
	}
}

// readMessage returns the message of a line of a chunk.
func readMessage(line []byte) (Message, error) {
	number, content, found := bytes.Cut(line, []byte{'\t'})
	number, bad := bytes.CutSuffix(number, []byte(badMark))
	parsed, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || !found {
		return Message{}, errors.New("a part of the import has a line without a number")
	}
	message := Message{Line: parsed, Content: bytes.TrimSuffix(content, []byte{'\n'})}
	if !bad {
		return message, nil
	}
	var stored storedProblem
	if err := json.Unmarshal(message.Content, &stored); err != nil {
		return Message{}, fmt.Errorf("read the stored problem of a line: %w", err)
	}
	problem := booking.Problem{Code: stored.Code, Text: stored.Text}
	return Message{Line: parsed, Problem: &booking.FieldProblem{Problem: problem, Name: stored.Name}}, nil
}
