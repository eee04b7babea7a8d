package postgres

import (
	"fmt"
	"sync"
	"time"
)

// zones remembers the time zones it has loaded: a few dozen names at the most, and loading one reads a file.
type zones struct {
	mu     sync.RWMutex
	loaded map[string]*time.Location
}

func (z *zones) load(name string) (*time.Location, error) {
	z.mu.RLock()
	zone := z.loaded[name]
	z.mu.RUnlock()
	if zone != nil {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load the time zone of an institution: %w", err)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.loaded == nil {
		z.loaded = map[string]*time.Location{}
	}
	z.loaded[name] = zone
	return zone, nil
}
