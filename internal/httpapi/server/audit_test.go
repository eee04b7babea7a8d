package server

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/audit"
)

// Promise: the objects of a list have the kind of the list, each of them.
func TestObjectsOfAList(t *testing.T) {
	t.Parallel()
	first, second := uuid.NewString(), uuid.NewString()
	var found touched
	found.addBody([]byte(`{"case": [{"guid": "`+first+`", "text": "x"}, {"guid": "`+second+`"}]}`), "")
	require.Equal(t, []audit.Object{{Kind: "case", ID: first}, {Kind: "case", ID: second}}, found.objects)
}
