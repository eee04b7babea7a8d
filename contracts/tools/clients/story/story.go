// Package story has the input and the output of a client's program, as in story.d.ts.
package story

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
)

// Input is the patient, the referral and the cells of a story.
type Input struct {
	BaseURL       string    `json:"baseUrl"`
	Token         string    `json:"token"`
	DirectionGUID uuid.UUID `json:"directionGuid"`
	LpuToGUID     uuid.UUID `json:"lpuToGuid"`
	DateFrom      Day       `json:"dateFrom"`
	FullSlotID    int64     `json:"fullSlotId"`
}

// Day is a day without a time. Its JSON is a text such as "2026-11-30".
type Day struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Day) UnmarshalJSON(raw []byte) (err error) {
	d.Time, err = time.Parse(`"`+time.DateOnly+`"`, string(raw))
	return err
}

// Output is what a client has read in a story. Each value comes from a decoded response.
type Output struct {
	Status         string  `json:"status"`
	Booked         [2]bool `json:"booked"`
	BlockedBy      *string `json:"blockedBy"`
	Refused        Refused `json:"refused"`
	StartsWithCell bool    `json:"startsWithCell"`
	Cancelled      string  `json:"cancelled"`
}

// Refused is the rejection of the full cell.
type Refused struct {
	Status  int    `json:"status"`
	Rule    string `json:"rule"`
	Details bool   `json:"details"`
}

// Main runs a story with the input in the program's argument, and prints the output.
func Main(tell func(Input) (Output, error)) {
	var input Input
	err := json.Unmarshal([]byte(os.Args[1]), &input)
	if err == nil {
		var output Output
		if output, err = tell(input); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(output)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Unexpected returns the error of a call, or one that describes its response.
func Unexpected(response any, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("unexpected response: %+v", response)
}
