package booking

import (
	"fmt"
	"slices"
	"strconv"
)

// Settings are those in force for a booking: in an institution, through a client application.
type Settings struct {
	OneActivePerSpeciality bool
	CreatesMkab            bool
	PolyclinicCode         string
	AfterStart             bool // an appointment may be cancelled or moved also after its visit has begun
	ScheduleDays           *int // how many days ahead a visit may begin
	DirectionExpires       bool
}

// Setting is one row of the table of settings.
type Setting struct {
	Code    string
	Vendor  bool   // the code is the vendor's, which is public; else it is ours
	Default string // what it is where nobody has set it; empty: not set
	Owners  []SettingOwner
	On      []Name // the rules that are on where it is
	Off     []Name // and those that are off there
	Meaning string

	field func(*Settings) any // where it is kept; what that points to is the type of the setting
}

// SettingOwner is who can have a setting.
type SettingOwner string

// The owners. Where several of them have a setting the last of these wins.
const (
	OwnerRegion SettingOwner = "region"
	OwnerLpu    SettingOwner = "institution"
	OwnerClient SettingOwner = "client application"
)

// SettingTable is all settings. The database knows them, too, and refuses any other code, owner and value; a test compares the two.
var SettingTable = []Setting{
	{
		Code: "OneActiveAppointmentPerSpeciality", Default: "true", Owners: []SettingOwner{OwnerRegion}, On: []Name{SpecialityAlreadyBooked},
		Meaning: "A patient has at most one active consultation in a speciality, over all institutions.",
		field:   func(s *Settings) any { return &s.OneActivePerSpeciality },
	},
	{
		Code: "2dr_RecordWithoutMkab", Vendor: true, Default: "false", Owners: []SettingOwner{OwnerLpu}, On: namesOf(mipRules), Off: []Name{MkabAbsent},
		Meaning: "A patient without a medical card (МКАБ) gets one by booking, made from the master patient index (МИП).",
		field:   func(s *Settings) any { return &s.CreatesMkab },
	},
	{
		Code: "PolyclinicCode", Owners: []SettingOwner{OwnerLpu},
		Meaning: "«Код поликлиники»: the institution's own code in the list of institutions. Where it is another, or none, no card can be made: `mkab_lpu_not_found`.",
		field:   func(s *Settings) any { return &s.PolyclinicCode },
	},
	{
		Code: "DeleteOldTime", Vendor: true, Default: "false", Owners: []SettingOwner{OwnerRegion, OwnerLpu}, Off: []Name{AppointmentStarted},
		Meaning: "An appointment can be cancelled and moved also after its visit has begun. The institution is the one of the visit.",
		field:   func(s *Settings) any { return &s.AfterStart },
	},
	{
		Code: "scheduleDays", Vendor: true, Owners: []SettingOwner{OwnerRegion, OwnerLpu, OwnerClient}, On: []Name{SlotBeyondHorizon},
		Meaning: "How many days ahead a visit may begin, by the calendar of its institution; 0 is today alone. Not set: as far as the schedule goes.",
		field:   func(s *Settings) any { return &s.ScheduleDays },
	},
	{
		Code: "DirectionExpires", Default: "false", Owners: []SettingOwner{OwnerRegion, OwnerLpu}, On: []Name{DirectionExpired},
		Meaning: "Nothing can be booked by a referral whose status is `Expired`: the day of its `dateEnd` is over where it is held. The institution is the one of the visit.",
		field:   func(s *Settings) any { return &s.DirectionExpires },
	},
}

// settingOf gives the setting that switches a rule.
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

// NewSettings reads settings by their codes; those that are not there have their defaults. A code that is not known is a later release's.
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
		case **int:
			if value == "" {
				continue
			}
			number, err := strconv.Atoi(value)
			if err != nil {
				return Settings{}, fmt.Errorf("setting %s: %w", setting.Code, err)
			}
			*field = &number
		}
	}
	return settings, nil
}

// on tells whether a setting is on: a flag that is true, or a number that is set. A text switches nothing.
func (s *Setting) on(settings *Settings) bool {
	switch field := s.field(settings).(type) {
	case *bool:
		return *field
	case **int:
		return *field != nil
	default:
		return false
	}
}

// Values says what a setting can be set to.
func (s *Setting) Values() string {
	switch s.field(new(Settings)).(type) {
	case *bool:
		return "true, false"
	case **int:
		return "0 to 999"
	default:
		return "text"
	}
}

// enables tells whether a rule can refuse anything under these settings.
func (s *Settings) enables(rule Name) bool {
	setting := settingOf[rule]
	return setting == nil || setting.on(s) == slices.Contains(setting.On, rule)
}
