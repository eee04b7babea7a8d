package postgres

import (
	"fmt"
	"sync"
	"time"
)

// zones remembers the time zones it has loaded: a few dozen names at the most, and loading one reads a file.
type zones struct{ loaded sync.Map }

func (z *zones) load(name string) (*time.Location, error) {
	if zone, ok := z.loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load the time zone of an institution: %w", err)
	}
	z.loaded.Store(name, zone)
	return zone, nil
}
