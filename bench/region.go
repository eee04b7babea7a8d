package main

import (
	"crypto/md5" //nolint:gosec // spreads numbers over guids; nothing is secret here
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The shape of the data. Every institution has the same number of resources, every resource the same schedule.
const (
	cellsPerResource = 500
	cellsPerDay      = 36 // quarters of an hour from 08:00, over 14 days
	cellLength       = 15 * time.Minute

	// Referrals book cells of the second week, so that the data serve for some days.
	firstBookedCell = 250
	bookedCellStep  = 5
	// The last cell of every resource has no place for anybody: to book it is refused by slot_full.
	fullCell = cellsPerResource - 1

	specialities        = 30
	firstSpeciality     = 100
	firstReferralNumber = 47_010_000_000

	legalEntities = 20
	rushReferrals = 50_000
	clientNumber  = 1
)

// moscow is the zone of all institutions, without summer time.
var moscow = time.FixedZone("MSK", 3*60*60)

// Region is the arithmetic of the data set: every row is a function of its number, so that the data are the same each time, and so that pgbench,
// which computes with integers alone, finds the same rows. Besides what its size says, a region has one more institution with one resource, the
// popular one, and Rushers patients with a referral there.
type Region struct {
	Scale     float64
	FirstDay  time.Time // 08:00 of the first day of all schedules
	Lpus      int64
	Resources int64
	Referrals int64
	Persons   int64
	Rushers   int64
}

// NewRegion is a region of a size, 1 being 200 institutions, 20,000 resources, 10 million cells, 1 million referrals and 2 million persons. Its
// schedules begin on the day after the one given.
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

// Cells is how many there are.
func (r Region) Cells() int64 { return r.Resources * cellsPerResource }

// Expires is when the first cell that a referral books begins: afterwards the data must be made anew.
func (r Region) Expires() time.Time { return r.cellStart(firstBookedCell) }

// stride is a prime: it walks through all referrals in an order in which neighbours have nothing in common.
const stride = 7919

// Booking is all that one booking is about, by its numbers.
type Booking struct {
	Referral, Person, Resource, From, To, Cell int64
}

// Booking is the n-th booking of the region; n counts on from the start after the last referral.
func (r Region) Booking(n int64) Booking { return r.bookingOf(n * stride % r.Referrals) }

func (r Region) bookingOf(referral int64) Booking {
	b := Booking{Referral: referral, Person: referral, Resource: referral % r.Resources}
	turn := referral / r.Resources
	b.To = b.Resource % r.Lpus
	b.From = (b.To + 1 + turn%(r.Lpus-1)) % r.Lpus
	b.Cell = firstBookedCell + turn*bookedCellStep
	return b
}

// Rush is the n-th of the bookings that all want a cell of the popular resource.
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

// Full is a booking of the same referral that slot_full refuses.
func (b Booking) Full() Booking {
	b.Cell = fullCell
	return b
}

// Mismatched is a booking of the same referral that speciality_mismatch refuses: with the next resource of the same institution.
func (r Region) Mismatched(b Booking) Booking {
	b.Resource = (b.Resource + r.Lpus) % r.Resources
	return b
}

// SlotID is the id of the cell, unique in the region.
func (b Booking) SlotID() int64 { return slotID(b.Resource, b.Cell) }

func slotID(resource, cell int64) int64 { return resource*cellsPerResource + cell + 1 }

// cellStart is when a cell of any resource begins.
func (r Region) cellStart(cell int64) time.Time {
	return r.FirstDay.AddDate(0, 0, int(cell/cellsPerDay)).Add(time.Duration(cell%cellsPerDay) * cellLength)
}

// speciality is the code of a resource's speciality, and of the referrals to it.
func (r Region) speciality(resource int64) string {
	return strconv.FormatInt(firstSpeciality+resource/r.Lpus%specialities, 10)
}

// guid makes the guid of the n-th thing of a kind. They look random, as real ones do: neighbours do not share a page of an index.
func guid(kind string, n int64) uuid.UUID {
	return md5.Sum(strconv.AppendInt([]byte(kind), n, 10)) //nolint:gosec // as above
}

// guidSQL is the same for the variable of pgbench given.
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
	kindHome     = "home" // the card where the referral was written
	kindAway     = "away" // the card where it leads to
	kindTap      = "tap"
	kindReferral = "referral"
	kindSender   = "sender"
	kindClient   = "client"
)
