package main

import (
	"errors"
	"fmt"
	"strings"
)

// lintMigration returns a finding for each statement in a migration's Up that is unsafe while the
// previous release runs: a statement that locks a table while it reads or writes all its rows, and
// a statement that removes or renames an object of that release. It does not check tables that the
// migration creates. It returns an error if the migration has no Up or no Down, or cannot be
// parsed.
func lintMigration(migration string) ([]string, error) {
	up, down, hasDown := strings.Cut(migration, "-- +goose Down")
	if !hasDown || !strings.Contains(up, "-- +goose Up") {
		return nil, errors.New("the migration has no Up or no Down")
	}
	if _, err := parse(down); err != nil {
		return nil, err
	}
	statements, err := parse(up)
	if err != nil {
		return nil, err
	}
	noTransaction := strings.Contains(up, "-- +goose NO TRANSACTION")
	var findings []string
	report := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	created := map[string]bool{}
	for _, s := range statements {
		if s.kind == "CreateStmt" {
			created[text(at(s.node, "relation", "relname"))] = true
		}
	}
	for _, s := range statements {
		table := text(at(s.node, "relation", "relname"))
		if created[table] {
			continue
		}
		switch s.kind {
		case "IndexStmt":
			if at(s.node, "concurrent") != true {
				report("CREATE INDEX on %s blocks writes: use CREATE INDEX CONCURRENTLY", table)
			} else if !noTransaction {
				report("CREATE INDEX CONCURRENTLY on %s needs «-- +goose NO TRANSACTION»", table)
			}
		case "AlterTableStmt":
			commands := list(at(s.node, "cmds"))
			if len(commands) > 1 {
				report("ALTER TABLE %s has %d subcommands: distributed tables accept one per statement", table,
					len(commands))
			}
			for _, command := range commands {
				lintAlter(table, at(command, "AlterTableCmd"), report)
			}
		case "RenameStmt":
			report("RENAME in %s breaks the previous release, which uses the old name", table)
		case "DropStmt":
			lintDrop(s.node, noTransaction, report)
		case "UpdateStmt", "DeleteStmt":
			report("%s of %s in the migration's transaction keeps all rows locked until the last is written: "+
				"use batches outside the migration", strings.TrimSuffix(s.kind, "Stmt"), table)
		case "TruncateStmt", "ClusterStmt", "LockStmt":
			report("%s locks a table for readers or writers", strings.TrimSuffix(s.kind, "Stmt"))
		case "VacuumStmt":
			if !noTransaction {
				report("VACUUM needs «-- +goose NO TRANSACTION»")
			}
		}
	}
	return findings, nil
}

// lintAlter checks one subcommand of an ALTER TABLE.
func lintAlter(table string, command any, report func(string, ...any)) {
	name := text(at(command, "name"))
	switch kind := text(at(command, "subtype")); kind {
	case "AT_AddColumn":
		column := at(command, "def", "ColumnDef")
		var notNull, hasDefault bool
		for _, c := range list(at(column, "constraints")) {
			switch constraint := text(at(c, "Constraint", "contype")); constraint {
			case "CONSTR_NOTNULL":
				notNull = true
			case "CONSTR_DEFAULT":
				hasDefault = true
				walk(c, func(kind string, _ node) bool {
					if kind == "FuncCall" {
						report("the default of %s.%s is a function, which may rewrite the table: use a constant",
							table, text(at(column, "colname")))
					}
					return true
				})
			case "CONSTR_GENERATED",
				"CONSTR_IDENTITY",
				"CONSTR_UNIQUE",
				"CONSTR_PRIMARY",
				"CONSTR_CHECK",
				"CONSTR_FOREIGN":
				report("ADD COLUMN %s.%s with %s reads or writes the whole table while it is locked",
					table, text(at(column, "colname")), constraint)
			}
		}
		if notNull && !hasDefault {
			report("ADD COLUMN %s.%s NOT NULL without a default fails on existing rows, "+
				"and in inserts of the previous release", table, text(at(column, "colname")))
		}
	case "AT_AddConstraint":
		constraint := at(command, "def", "Constraint")
		switch contype := text(at(constraint, "contype")); contype {
		case "CONSTR_CHECK", "CONSTR_FOREIGN":
			if at(constraint, "skip_validation") != true {
				report("ADD CONSTRAINT on %s reads the whole table while it is locked: "+
					"add it NOT VALID, and VALIDATE it in another migration", table)
			}
		default:
			if text(at(constraint, "indexname")) == "" {
				report("ADD CONSTRAINT (%s) on %s builds an index while the table is locked: "+
					"CREATE UNIQUE INDEX CONCURRENTLY, then add it USING INDEX", contype, table)
			}
		}
	case "AT_SetNotNull":
		report("SET NOT NULL on %s.%s reads the whole table while it is locked: "+
			"add a CHECK NOT VALID, and VALIDATE it in another migration", table, name)
	case "AT_AlterColumnType":
		report("ALTER COLUMN %s.%s TYPE may rewrite the table: add a column, fill it in batches, switch to it", table,
			name)
	case "AT_DropColumn":
		report("DROP COLUMN %s.%s: the previous release may still use it", table, name)
	}
}

// lintDrop checks a DROP statement.
func lintDrop(n node, noTransaction bool, report func(string, ...any)) {
	kind := strings.TrimPrefix(text(at(n, "removeType")), "OBJECT_")
	if len(list(at(n, "objects"))) > 1 {
		report("DROP %s of several objects: distributed tables accept one per statement", kind)
	}
	switch {
	case kind == "TABLE" || kind == "TYPE" || kind == "FUNCTION" || kind == "VIEW":
		report("DROP %s: the previous release may still use it", kind)
	case kind == "INDEX" && at(n, "concurrent") != true:
		report("DROP INDEX locks the table: use DROP INDEX CONCURRENTLY")
	case kind == "INDEX" && !noTransaction:
		report("DROP INDEX CONCURRENTLY needs «-- +goose NO TRANSACTION»")
	}
}
