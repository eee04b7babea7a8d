package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// The worst cases of the search for free cells, on rows added to the region:
//   - A laboratory referral can be booked at any resource, so the search reads the cells of all
//     resources of the institution.
//   - In a fully booked speciality the search reads all cells of the period without a result, and
//     then searches for the next free cell after it.
const (
	worstReferrals = 16 // of each case, one for each connection of the client
	fullResources  = 4  // of the fully booked speciality
	fullSpeciality = firstSpeciality + specialities
)

// laboratory returns the booking whose search uses the n-th laboratory referral. After the last
// referral it starts again with the first. Each referral is within another institution, where its
// patient has a card. None of these is the institution of the fully booked speciality.
func (r Region) laboratory(n int64) Booking {
	n %= worstReferrals
	return Booking{Referral: r.Referrals + r.Rushers + n, Person: r.firstWorstPerson() + n, From: n, To: n}
}

// fullyBooked returns the booking whose search uses the n-th referral to the fully booked
// speciality. After the last referral it starts again with the first.
func (r Region) fullyBooked(n int64) Booking {
	n %= worstReferrals
	last := r.Lpus - 1
	return Booking{
		Referral: r.Referrals + r.Rushers + worstReferrals + n, Person: r.firstWorstPerson() + n*r.Lpus + last,
		Resource: r.Resources + 1, From: last, To: last,
	}
}

// firstWorstPerson returns the first person without a referral who belongs to the first
// institution.
func (r Region) firstWorstPerson() int64 { return (r.Referrals + r.Lpus - 1) / r.Lpus * r.Lpus }

// ensureWorstCases adds the missing rows of the worst cases. They are copies of rows of the region
// with other keys, so that only the columns that matter are set here.
func (s *site) ensureWorstCases(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		for i := range int64(fullResources) {
			if err := addFullResource(ctx, tx, s.region, s.region.Resources+1+i); err != nil {
				return err
			}
		}
		for n := range int64(worstReferrals) {
			if err := addReferral(ctx, tx, s.region.laboratory(n), "Laboratory", ""); err != nil {
				return err
			}
			if err := addReferral(ctx, tx, s.region.fullyBooked(n), "Consult",
				strconv.Itoa(fullSpeciality)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add the worst cases of the search: %w", err)
	}
	return nil
}

// addFullResource adds a resource of the fully booked speciality, with the schedule of the last
// institution's first resource.
func addFullResource(ctx context.Context, tx pgx.Tx, r Region, resource int64) error {
	lpu := r.Lpus - 1
	source := lpu // the institution's first resource has its number
	//nolint:unqueryvet // all columns of the schema
	if _, err := tx.Exec(ctx, `
		INSERT INTO resource
		SELECT added.*
		FROM resource r
		CROSS JOIN LATERAL jsonb_populate_record(r, jsonb_build_object(
			'guid', $3::uuid, 'name', $4::text, 'speciality_code', $5::text)) added
		WHERE r.lpu_guid = $1 AND r.guid = $2
		ON CONFLICT DO NOTHING`,
		guid(kindLpu, lpu), guid(kindResource, source), guid(kindResource, resource),
		resourceName(resource), strconv.Itoa(fullSpeciality),
	); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	//nolint:unqueryvet // all columns of the schema
	if _, err := tx.Exec(ctx, `
		INSERT INTO slot
		SELECT added.*
		FROM slot s
		CROSS JOIN LATERAL jsonb_populate_record(s, jsonb_build_object(
			'guid', md5($4::text || (s.id + $5::bigint))::uuid, 'id', s.id + $5::bigint,
			'resource_guid', $3::uuid, 'taken', s.capacity)) added
		WHERE s.lpu_guid = $1 AND s.resource_guid = $2
		ON CONFLICT DO NOTHING`,
		guid(kindLpu, lpu), guid(kindResource, source), guid(kindResource, resource),
		kindSlot, (resource-source)*cellsPerResource,
	); err != nil {
		return fmt.Errorf("cells: %w", err)
	}
	return nil
}

// addReferral adds the referral of a search, as a copy of an unbooked referral of the same
// institution.
func addReferral(ctx context.Context, tx pgx.Tx, b Booking, kind, speciality string) error {
	//nolint:unqueryvet // all columns of the schema
	added, err := tx.Exec(ctx, `
		INSERT INTO direction
		SELECT added.*
		FROM (
			SELECT d FROM direction d
			WHERE d.lpu_guid = $1 AND d.copied_from_lpu_guid IS NULL AND d.appointment_guid IS NULL
			LIMIT 1
		) template
		CROSS JOIN LATERAL jsonb_populate_record(template.d, jsonb_build_object(
			'guid', $3::uuid, 'id', $4::bigint, 'number', $5::text, 'mkab_guid', $6::uuid, 'type', $7::text,
			'lpu_to_guid', $2::uuid, 'speciality_code', $8::text, 'speciality_name', $8::text)) added
		ON CONFLICT (lpu_guid, guid) DO UPDATE SET guid = excluded.guid`,
		guid(kindLpu, b.From), guid(kindLpu, b.To), guid(kindReferral, b.Referral), b.Referral+1,
		referralNumber(b.Referral), guid(kindHome, b.Person), kind, speciality,
	)
	if err != nil {
		return fmt.Errorf("referral: %w", err)
	}
	if added.RowsAffected() != 1 {
		return fmt.Errorf("institution %d has no referral to copy", b.From)
	}
	return nil
}

// worstSettle is settleRequests for the worst cases, whose searches take longer.
const worstSettle = 128

// worstSearch measures n searches of a worst case in a closed loop.
func (s *site) worstSearch(
	ctx context.Context, connections int, n int64, booking func(int64) Booking,
) (Sample, error) {
	requests, err := s.service.caller().searches(n, booking)
	if err != nil {
		return Sample{}, err
	}
	settle, err := s.service.caller().searches(worstSettle, booking)
	if err != nil {
		return Sample{}, err
	}
	return s.measure(ctx, settle, false,
		func(ctx context.Context) (Load, error) { return runWrk(ctx, s.service.address, connections, requests) })
}
