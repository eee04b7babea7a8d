package main

import (
	"crypto/md5" //nolint:gosec // spreads numbers over guids; nothing is secret here
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The shape of the data. Every institution has the same number of resources, and every resource has
// the same schedule.
const (
	cellsPerResource = 500
	cellsPerDay      = 36 // of 15 minutes from 08:00, on 14 days
	cellLength       = 15 * time.Minute

	// Referrals book cells of the second week, so that the data can be used for some days.
	firstBookedCell = 250
	bookedCellStep  = 5
	// The last cell of every resource has capacity 0: booking it is refused by slot_full.
	fullCell = cellsPerResource - 1

	specialities        = 30
	firstSpeciality     = 100
	firstReferralNumber = 47_010_000_000

	legalEntities = 20
	rushReferrals = 50_000
	clientNumber  = 1
)

// moscow is the time zone of all institutions. It has no daylight saving time.
var moscow = time.FixedZone("MSK", 3*60*60)

// Region defines the data set. Every row is a function of its number, so the data are reproducible,
// and pgbench can compute the same rows with integer arithmetic. In addition to the rows that
// depend on its scale, a region has one institution with one popular resource, and Rushers patients
// with a referral there.
type Region struct {
	Scale     float64
	FirstDay  time.Time // 08:00 of the first day of all schedules, in moscow
	Lpus      int64
	Resources int64
	Referrals int64
	Persons   int64
	Rushers   int64
}

// NewRegion returns the region of a scale. Scale 1 has 200 institutions, 20,000 resources, 10
// million cells, 1 million referrals and 2 million persons. The schedules begin on the day after
// today in moscow.
func NewRegion(scale float64, today time.Time) Region {
	part := func(whole, least float64) int64 { return int64(math.Round(max(least, whole*scale))) }
	y, m, d := today.In(moscow).Date()
	return Region{
		Scale:     scale,
		FirstDay:  time.Date(y, m, d+1, 8, 0, 0, 0, moscow),
		Lpus:      part(200, 20),
		Resources: part(20_000, 100),
		Referrals: part(1_000_000, 5_000),
		Persons:   part(2_000_000, 10_000),
		Rushers:   rushReferrals,
	}
}

// Cells returns the number of cells.
func (r Region) Cells() int64 { return r.Resources * cellsPerResource }

// Expires returns the start of the first cell that a referral books. After that time the data must
// be recreated.
func (r Region) Expires() time.Time { return r.cellStart(firstBookedCell) }

// stride is a prime. Bookings take every stride-th referral, so that consecutive bookings have no
// rows in common.
const stride = 7919

// Booking holds the numbers of the objects of a booking.
type Booking struct {
	Referral, Person, Resource, From, To, Cell int64
}

// Booking returns the n-th booking of the region. After the last referral it starts again with the
// first.
func (r Region) Booking(n int64) Booking { return r.bookingOf(n * stride % r.Referrals) }

func (r Region) bookingOf(referral int64) Booking {
	b := Booking{Referral: referral, Person: referral, Resource: referral % r.Resources}
	turn := referral / r.Resources
	b.To = b.Resource % r.Lpus
	b.From = (b.To + 1 + turn%(r.Lpus-1)) % r.Lpus
	b.Cell = firstBookedCell + turn*bookedCellStep
	return b
}

// Rush returns the n-th booking of a cell of the popular resource.
func (r Region) Rush(n int64) Booking {
	return Booking{
		Referral: r.Referrals + n,
		Person:   r.Persons + n,
		Resource: r.Resources,
		From:     n % r.Lpus,
		To:       r.Lpus,
		Cell:     firstBookedCell + n*stride%(fullCell-firstBookedCell),
	}
}

// Full returns a booking of the same referral that slot_full refuses.
func (b Booking) Full() Booking {
	b.Cell = fullCell
	return b
}

// Mismatched returns a booking of the same referral that speciality_mismatch refuses: of the next
// resource of the same institution.
func (r Region) Mismatched(b Booking) Booking {
	b.Resource = (b.Resource + r.Lpus) % r.Resources
	return b
}

// SlotID returns the id of the cell, which is unique in the region.
func (b Booking) SlotID() int64 { return slotID(b.Resource, b.Cell) }

func slotID(resource, cell int64) int64 { return resource*cellsPerResource + cell + 1 }

// cellStart returns the start of a cell, which is the same for all resources.
func (r Region) cellStart(cell int64) time.Time {
	return r.FirstDay.AddDate(0, 0, int(cell/cellsPerDay)).Add(time.Duration(cell%cellsPerDay) * cellLength)
}

// speciality returns the code of a resource's speciality, which is also that of the referrals to
// it.
func (r Region) speciality(resource int64) string {
	return strconv.FormatInt(firstSpeciality+resource/r.Lpus%specialities, 10)
}

// guid returns the guid of the n-th object of a kind. The guids are distributed like random ones,
// so consecutive objects are not on the same page of an index.
func guid(kind string, n int64) uuid.UUID {
	return md5.Sum(strconv.AppendInt([]byte(kind), n, 10)) //nolint:gosec // as above
}

// guidSQL returns the SQL expression of guid for a variable of pgbench.
func guidSQL(kind, variable string) string {
	return fmt.Sprintf("md5('%s' || :%s)::uuid", kind, variable)
}

// The kinds of guids.
const (
	kindEntity   = "entity"
	kindLpu      = "lpu"
	kindResource = "resource"
	kindSlot     = "slot"
	kindPerson   = "person"
	kindHome     = "home" // the card in the institution that issued the referral
	kindAway     = "away" // the card in the target institution
	kindTap      = "tap"
	kindReferral = "referral"
	kindSender   = "sender"
	kindClient   = "client"
)
