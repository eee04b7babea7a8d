package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The tables that grow with the region; the others are small, and reading them whole is right.
var growing = []string{
	"appointment", "appointment_slot", "direction", "mip_person", "mip_person_data", "mkab", "mkab_policy", "resource", "slot", "speciality_claim", "tap",
}

var wholeTable = regexp.MustCompile(`Seq Scan on (\w+)`)

// wholeScans gives the growing tables that the plan of some statement of a booking reads as a whole, by the statistics of this data. The plans are
// the generic ones, which hold for any parameters.
func wholeScans(ctx context.Context, conn *pgx.Conn, trips [][]statement) ([]string, error) {
	scanned := []string{}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_generic_plan"); err != nil {
			return err
		}
		for _, s := range slices.Concat(trips...) {
			if len(s.arguments) == 0 {
				continue // begin or commit
			}
			plan, err := genericPlan(ctx, tx, s)
			if err != nil {
				return fmt.Errorf("explain %s: %w", s.sql, err)
			}
			for _, match := range wholeTable.FindAllStringSubmatch(plan, -1) {
				if !slices.Contains(growing, match[1]) || slices.Contains(scanned, match[1]) {
					continue
				}
				var small bool // and known to be: a few pages are read faster than an index
				if err := tx.QueryRow(ctx, "SELECT reltuples BETWEEN 0 AND 1000 FROM pg_class WHERE oid = $1::regclass", match[1]).Scan(&small); err != nil {
					return err
				}
				if !small {
					scanned = append(scanned, match[1])
				}
			}
		}
		return nil
	})
	return scanned, err
}

func genericPlan(ctx context.Context, tx pgx.Tx, s statement) (string, error) {
	if _, err := tx.Exec(ctx, "PREPARE explained AS "+s.sql); err != nil {
		return "", err
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(s.arguments)), ", ")
	rows, err := tx.Query(ctx, "EXPLAIN EXECUTE explained("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, "DEALLOCATE explained")
	return strings.Join(lines, "\n"), err
}
