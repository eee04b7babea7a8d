package booking

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// SettingReader reads settings.
type SettingReader interface {
	// Settings reads the settings for the patient's client application in an institution. For the
	// zero guid, it returns the distinct settings of the region and of all its institutions.
	Settings(ctx context.Context, patient Patient, lpu uuid.UUID) ([]Settings, error)
}

// Settings are the settings in force for a booking in an institution through a client application.
type Settings struct {
	OneActivePerSpeciality bool
	CreatesMkab            bool
	PolyclinicCode         string
	AfterStart             bool // an appointment may be cancelled or moved even after its visit has begun
	ScheduleDays           *int // how many days ahead a visit may begin; nil: no limit
	DirectionExpires       bool
	OnBooked               string // what a message does with cells that have visits, if it does not say: refuse or keep
	ReceiptMinutes         int    // how long a visit may be without a receipt; 0: for ever
	NoShowReturnsReferral  bool   // the referral of a no-show can be booked again
	ScheduleFreshHours     int    // in schedules that were not confirmed for so long nobody can book; 0: no limit
}

// Setting is one row of the table of settings.
type Setting struct {
	Code    string
	Vendor  bool     // the code is one of the vendor's public codes
	Default string   // value if the setting is not set; empty: none
	Choices []string // the values of a text; nil: any
	Most    int      // the greatest value of a number
	Owners  []SettingOwner
	On      []Name // rules that are enabled if the setting is on
	Off     []Name // rules that are disabled if the setting is on
	Meaning string // for docs/settings.md

	field func(*Settings) any // returns a pointer to the value; its type is the type of the setting
}

// SettingOwner is a kind of owner of a setting.
type SettingOwner string

// The owners. If several owners set a setting, the last of this list wins.
const (
	OwnerRegion SettingOwner = "region"
	OwnerLpu    SettingOwner = "institution"
	OwnerClient SettingOwner = "client application"
)

// SettingTable lists all settings. The database rejects any other code, owner and value. A test
// compares both lists.
var SettingTable = []Setting{
	{
		Code: "OneActiveAppointmentPerSpeciality", Default: "true",
		Owners: []SettingOwner{OwnerRegion}, On: []Name{SpecialityAlreadyBooked},
		Meaning: "A patient has at most one active consultation per speciality, over all institutions.",
		field:   func(s *Settings) any { return &s.OneActivePerSpeciality },
	},
	{
		Code: "2dr_RecordWithoutMkab", Vendor: true, Default: "false",
		Owners: []SettingOwner{OwnerLpu}, On: namesOf(mipRules), Off: []Name{MkabAbsent},
		Meaning: "A booking creates the medical card (МКАБ) of a patient who has none, from the master patient index (МИП).",
		field:   func(s *Settings) any { return &s.CreatesMkab },
	},
	{
		Code: "PolyclinicCode", Owners: []SettingOwner{OwnerLpu},
		Meaning: "«Код поликлиники»: the institution's own code in the list of institutions. If it is missing or that of another institution, no card can be created: `mkab_lpu_not_found`.",
		field:   func(s *Settings) any { return &s.PolyclinicCode },
	},
	{
		Code: "DeleteOldTime", Vendor: true, Default: "false",
		Owners: []SettingOwner{OwnerRegion, OwnerLpu}, Off: []Name{AppointmentStarted},
		Meaning: "An appointment can be cancelled and moved even after its visit has begun. " +
			"The institution is the one of the visit.",
		field: func(s *Settings) any { return &s.AfterStart },
	},
	{
		Code: "scheduleDays", Vendor: true,
		Owners: []SettingOwner{OwnerRegion, OwnerLpu, OwnerClient}, On: []Name{SlotBeyondHorizon}, Most: 999,
		Meaning: "How many days ahead a visit may begin, in the calendar of its institution. " +
			"0 means today only. Not set: no limit.",
		field: func(s *Settings) any { return &s.ScheduleDays },
	},
	{
		Code: "DirectionExpires", Default: "false",
		Owners: []SettingOwner{OwnerRegion, OwnerLpu}, On: []Name{DirectionExpired},
		Meaning: "A referral with the status `Expired` cannot be booked: " +
			"the day of its `dateEnd` is over in the zone of the institution that holds it. " +
			"The institution of the setting is the one of the visit.",
		field: func(s *Settings) any { return &s.DirectionExpires },
	},
	{
		Code: "OnBooked", Default: "keep", Choices: []string{"refuse", "keep"},
		Owners: []SettingOwner{OwnerRegion, OwnerLpu},
		Meaning: "What happens to cells that have visits, " +
			"if a message of the institution's system has no `OnBooked`: " +
			"the message is rejected, or the cells are closed and the visits stay.",
		field: func(s *Settings) any { return &s.OnBooked },
	},
	{
		Code: "ScheduleFreshHours", Default: "0",
		Owners: []SettingOwner{OwnerRegion, OwnerLpu}, On: []Name{ScheduleStale}, Most: 720,
		Meaning: "A schedule that was brought in by the registry cannot be booked " +
			"if no message has confirmed it for so many hours. 0: no limit.",
		field: func(s *Settings) any { return &s.ScheduleFreshHours },
	},
	{
		Code: "ReceiptMinutes", Default: "0",
		Owners: []SettingOwner{OwnerRegion, OwnerLpu}, Most: 9999,
		Meaning: "A visit that has no receipt of the institution's system so many minutes " +
			"after it was booked or moved appears on the work list. " +
			"0: the institution's system gives no receipts.",
		field: func(s *Settings) any { return &s.ReceiptMinutes },
	},
	{
		Code: "NoShowReturnsReferral", Default: "false",
		Owners: []SettingOwner{OwnerRegion, OwnerLpu},
		Meaning: "The referral of a patient who did not come can be booked again. " +
			"Otherwise the visit has used it up. The institution is the one of the visit.",
		field: func(s *Settings) any { return &s.NoShowReturnsReferral },
	},
}

// settingOf maps a rule to the setting that enables or disables it.
var settingOf = func() map[Name]*Setting {
	switches := map[Name]*Setting{}
	for i := range SettingTable {
		setting := &SettingTable[i]
		for _, rule := range slices.Concat(setting.On, setting.Off) {
			switches[rule] = setting
		}
	}
	return switches
}()

func namesOf(rules []Rule) []Name {
	names := make([]Name, len(rules))
	for i := range rules {
		names[i] = rules[i].Name
	}
	return names
}

// NewSettings returns the settings with the values, which are by code. A setting that is not in
// values has its default. Unknown codes are ignored, because a later release may have added them.
func NewSettings(values map[string]string) (Settings, error) {
	var settings Settings
	for i := range SettingTable {
		setting := &SettingTable[i]
		value, ok := values[setting.Code]
		if !ok {
			value = setting.Default
		}
		switch field := setting.field(&settings).(type) {
		case *bool:
			*field = value == "true"
		case *string:
			*field = value
		case *int:
			number, err := setting.number(value)
			if err != nil {
				return Settings{}, err
			}
			*field = number
		case **int:
			if value == "" {
				continue
			}
			number, err := setting.number(value)
			if err != nil {
				return Settings{}, err
			}
			*field = &number
		}
	}
	return settings, nil
}

func (s *Setting) number(value string) (int, error) {
	number, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("setting %s: %w", s.Code, err)
	}
	return number, nil
}

// on reports whether a setting is on: a flag that is true, a number that is set, or one with a
// default that is not 0. A text is never on.
func (s *Setting) on(settings *Settings) bool {
	switch field := s.field(settings).(type) {
	case *bool:
		return *field
	case *int:
		return *field != 0
	case **int:
		return *field != nil
	default:
		return false
	}
}

// Values describes the values that a setting accepts.
func (s *Setting) Values() string {
	switch s.field(new(Settings)).(type) {
	case *bool:
		return "true, false"
	case *int, **int:
		return fmt.Sprintf("0 to %d", s.Most)
	default:
		if s.Choices != nil {
			return strings.Join(s.Choices, ", ")
		}
		return "text"
	}
}

// SettingOf returns the setting with a code that an owner can have, or nil.
func SettingOf(code string, owner SettingOwner) *Setting {
	for i := range SettingTable {
		if setting := &SettingTable[i]; setting.Code == code && slices.Contains(setting.Owners, owner) {
			return setting
		}
	}
	return nil
}

// Accepts reports whether a setting accepts a value.
func (s *Setting) Accepts(value string) bool {
	switch s.field(new(Settings)).(type) {
	case *bool:
		return value == "true" || value == "false"
	case *int, **int:
		number, err := strconv.Atoi(value)
		return err == nil && 0 <= number && number <= s.Most && strconv.Itoa(number) == value
	default:
		return s.Choices == nil || slices.Contains(s.Choices, value)
	}
}

// enables reports whether a rule is enabled under these settings.
func (s *Settings) enables(rule Name) bool {
	setting := settingOf[rule]
	return setting == nil || setting.on(s) == slices.Contains(setting.On, rule)
}
