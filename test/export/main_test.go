package export_test

import (
	"testing"

	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }
