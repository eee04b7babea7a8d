package booking

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Initiator is who wants a booking, a move or a cancel.
type Initiator string

// The initiators.
const (
	ByPatient     Initiator = "patient"     // the patient, through any client application; a cancel also at the desk
	ByInstitution Initiator = "institution" // the institution, at its desk (регистратура)
)

// Booker is who has booked a visit. The JSON tags of the types of this file are those of stored
// responses.
type Booker struct {
	Initiator Initiator `json:"initiator"`
	Client    uuid.UUID `json:"client_guid"`
}

// LastMove is the last move of a visit. Cause and Reason are nil if the patient has moved it.
type LastMove struct {
	At        time.Time  `json:"at"`
	Initiator Initiator  `json:"initiator"`
	Cause     *MoveCause `json:"cause"`
	Reason    *string    `json:"reason"` // what the institution tells the patient; nil if nothing
}

// MoveCause is why an institution moves a visit.
type MoveCause string

// MoveOther is the cause that has to be given as text. The contract has all causes.
const MoveOther MoveCause = "other"

// HeldVisit is what the institution of a visit sees of it in addition to HeldDirection, right after
// it was booked or moved. A new field needs a new version of stored responses.
type HeldVisit struct {
	Version       int64       `json:"version"`
	UpdatedAt     time.Time   `json:"updated_at"`
	Person        uuid.UUID   `json:"person_guid"`
	Client        uuid.UUID   `json:"client_guid"`
	DirectionLpu  uuid.UUID   `json:"direction_lpu_guid"` // holds the original of the referral
	Resource      uuid.UUID   `json:"resource_guid"`
	ResourceName  string      `json:"resource_name"`
	Slots         []uuid.UUID `json:"slot_guids"`
	OutOfSchedule bool        `json:"out_of_schedule"`
	IsCito        bool        `json:"is_cito"`
	Comment       string      `json:"comment"`
	BookedBy      Booker      `json:"booked_by"`
	Move          *LastMove   `json:"move"`
}

// Reassignment moves a visit to another cell of its institution.
type Reassignment struct {
	Version int64 // of the visit that the institution has seen
	Place   Place // a cell, never out of schedule
	Cause   MoveCause
	Text    string // what the patient is told; not blank for MoveOther
}

// Reassign moves a visit for its institution, by the rules of Move. It returns a *HeldDirection
// without HeldVisit if the visit is in the cell already, whatever its version is. It rejects with
// FieldInvalid, with AppointmentAbsent, with AppointmentNotActive, with AppointmentVersionMismatch,
// with AppointmentAttended, and with AppointmentStarted after the day of the visit.
func (s *Service) Reassign(
	ctx context.Context, lpu, client, appointment uuid.UUID, wanted Reassignment,
) (*HeldDirection, error) {
	if wanted.Cause == MoveOther && strings.TrimSpace(wanted.Text) == "" {
		return nil, InvalidField("Text", ProblemMissing)
	}
	person, err := s.ports.Reader.VisitPerson(ctx, lpu, appointment)
	if err != nil {
		return nil, fmt.Errorf("find the person of the visit: %w", err)
	}
	desk := Patient{Person: person, Client: client, Desk: lpu}
	move := MoveRequest{Place: wanted.Place, Version: wanted.Version, Cause: &wanted.Cause}
	if wanted.Text != "" {
		move.Reason = &wanted.Text
	}
	held, _, err := s.Move(ctx, desk, appointment, move, nil)
	return held, err
}

// initiator returns who acts.
func (p Patient) initiator() Initiator {
	if p.atDesk() {
		return ByInstitution
	}
	return ByPatient
}

// atDesk reports whether an institution acts for the person.
func (p Patient) atDesk() bool { return p.Desk != uuid.Nil }

// withhold is Withhold for the institution that acts for the person. It returns err unchanged if
// the person acts.
func (p Patient) withhold(err error) error {
	if !p.atDesk() {
		return err
	}
	return Withhold(p.Desk, err)
}

// Withhold removes from the refusal of a request of an institution what it may not know: when and
// where the person has a visit in another institution. It returns other errors unchanged.
func Withhold(lpu uuid.UUID, err error) error {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	if known := refusal.Remedies; known != nil && known.Appointment != nil && known.Appointment.Lpu == lpu {
		return err
	}
	var withheld *Refusal
	switch refusal.Rule {
	case DirectionAlreadyBooked:
		withheld = Reject(DirectionAlreadyBooked)
	case SpecialityAlreadyBooked:
		withheld = Reject(SpecialityAlreadyBooked, placeholderResource, "в другую медицинскую организацию",
			placeholderStart, "другое время")
	default:
		return err
	}
	withheld.Person, withheld.Compared = refusal.Person, refusal.Compared
	return withheld
}
