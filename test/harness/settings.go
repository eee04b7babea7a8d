package harness

import (
	"github.com/google/uuid"
)

// SetSetting sets a setting of the region (the zero guid), an institution or a client application.
func (s *Service) SetSetting(owner uuid.UUID, code, value string) {
	s.T.Helper()
	s.Exec(`INSERT INTO setting (owner_guid, code, value, of_client) SELECT $1, $2, $3, EXISTS (SELECT FROM client_application WHERE guid = $1)
		ON CONFLICT (owner_guid, code) DO UPDATE SET value = excluded.value`, owner, code, value)
}

// DeleteSetting deletes a setting of all owners.
func (s *Service) DeleteSetting(code string) {
	s.T.Helper()
	s.Exec(`DELETE FROM setting WHERE code = $1`, code)
}
