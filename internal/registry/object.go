package registry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// ObjectKind is the kind of an object that sources write.
type ObjectKind string

// The kinds.
const (
	KindLegalEntity  ObjectKind = "legal_entity"
	KindInstitution  ObjectKind = "institution"
	KindResource     ObjectKind = "resource"
	KindPerson       ObjectKind = "person"
	KindCard         ObjectKind = "card"
	KindCase         ObjectKind = "case"
	KindReferral     ObjectKind = "referral"
	KindClientRights ObjectKind = "client_rights"
	KindSettings     ObjectKind = "settings"
)

// Object identifies an object that sources write.
type Object struct {
	Owner uuid.UUID // the institution of the object, or the object itself where it belongs to none
	Kind  ObjectKind
	Guid  uuid.UUID
}

// Write is a write of an object by its source. The write with the highest version decides,
// whatever the order in which they arrive.
type Write struct {
	Object

	Version int64             // orders the writes of the source
	Content [sha256.Size]byte // see Content
	Deleted bool
}

// ObjectResult is what a write has changed.
type ObjectResult struct {
	Changed bool // false: the object was as written
}

// Content returns the SHA-256 of what a write states. Fields that are added to the type of content
// later need the tag omitzero, so that a repetition of an older write keeps its hash.
func Content(content any) ([sha256.Size]byte, error) {
	encoded, err := json.Marshal(content)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("encode the content of a write: %w", err)
	}
	return sha256.Sum256(encoded), nil
}

// newWrite returns the write of an object with its content.
func newWrite(object Object, version int64, content any) (Write, error) {
	hash, err := Content(content)
	return Write{Object: object, Version: version, Content: hash}, err
}

// newDeletion returns the write that deletes an object.
func newDeletion(object Object, version int64) (Write, error) {
	w, err := newWrite(object, version, nil)
	w.Deleted = true
	return w, err
}

// firstRefusal returns the first of several refusals, or nil.
func firstRefusal(refusals ...*booking.Refusal) *booking.Refusal {
	for _, refusal := range refusals {
		if refusal != nil {
			return refusal
		}
	}
	return nil
}
