package main

import (
	"errors"
	"fmt"
	"strings"
)

// lintMigration returns what in a migration's Up is unsafe beside the release before it: what locks a table for as long as its rows take, and what that release
// would miss. Of tables that the migration itself makes all is allowed.
func lintMigration(migration string) ([]string, error) {
	up, down, found := strings.Cut(migration, "-- +goose Down")
	if !found || !strings.Contains(up, "-- +goose Up") {
		return nil, errors.New("goose needs an Up and a Down")
	}
	if _, err := parse(down); err != nil {
		return nil, err
	}
	statements, err := parse(up)
	if err != nil {
		return nil, err
	}
	alone := strings.Contains(up, "-- +goose NO TRANSACTION")
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
				report("CREATE INDEX on %s locks out its writers: make it CONCURRENTLY", table)
			} else if !alone {
				report("CREATE INDEX CONCURRENTLY on %s needs «-- +goose NO TRANSACTION»", table)
			}
		case "AlterTableStmt":
			commands := list(at(s.node, "cmds"))
			if len(commands) > 1 {
				report("ALTER TABLE %s has %d subcommands: one a statement, as distributed tables take no more", table, len(commands))
			}
			for _, command := range commands {
				lintAlter(table, at(command, "AlterTableCmd"), report)
			}
		case "RenameStmt":
			report("a rename in %s breaks the release that still uses the old name", table)
		case "DropStmt":
			lintDrop(s.node, alone, report)
		case "UpdateStmt", "DeleteStmt":
			report("%s of %s in the migration's transaction locks rows for as long as all of them take: do it in batches outside", strings.TrimSuffix(s.kind, "Stmt"), table)
		case "TruncateStmt", "ClusterStmt", "LockStmt":
			report("%s locks a table against readers or writers", strings.TrimSuffix(s.kind, "Stmt"))
		case "VacuumStmt":
			if !alone {
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
						report("the default of %s.%s is a function: the table may be written anew; a constant is not", table, text(at(column, "colname")))
					}
					return true
				})
			case "CONSTR_GENERATED", "CONSTR_IDENTITY", "CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_CHECK", "CONSTR_FOREIGN":
				report("ADD COLUMN %s.%s with %s reads or writes the whole table under its lock", table, text(at(column, "colname")), constraint)
			}
		}
		if notNull && !hasDefault {
			report("ADD COLUMN %s.%s NOT NULL without a default fails on rows, and in the release before", table, text(at(column, "colname")))
		}
	case "AT_AddConstraint":
		constraint := at(command, "def", "Constraint")
		switch contype := text(at(constraint, "contype")); contype {
		case "CONSTR_CHECK", "CONSTR_FOREIGN":
			if at(constraint, "skip_validation") != true {
				report("ADD CONSTRAINT on %s reads the whole table under its lock: NOT VALID, and VALIDATE in another migration", table)
			}
		default:
			if text(at(constraint, "indexname")) == "" {
				report("ADD CONSTRAINT (%s) on %s builds an index under a lock: CREATE UNIQUE INDEX CONCURRENTLY, then USING INDEX", contype, table)
			}
		}
	case "AT_SetNotNull":
		report("SET NOT NULL on %s.%s reads the whole table under its lock: a CHECK NOT VALID, validated", table, name)
	case "AT_AlterColumnType":
		report("ALTER COLUMN %s.%s TYPE may write the table anew: add a column, fill it in batches, change over", table, name)
	case "AT_DropColumn":
		report("DROP COLUMN %s.%s: the release before may still use it", table, name)
	}
}

// lintDrop checks a DROP.
func lintDrop(n node, alone bool, report func(string, ...any)) {
	kind := strings.TrimPrefix(text(at(n, "removeType")), "OBJECT_")
	if len(list(at(n, "objects"))) > 1 {
		report("DROP %s of several objects: one a statement, as distributed tables take no more", kind)
	}
	switch {
	case kind == "TABLE" || kind == "TYPE" || kind == "FUNCTION" || kind == "VIEW":
		report("DROP %s: the release before may still use it", kind)
	case kind == "INDEX" && at(n, "concurrent") != true:
		report("DROP INDEX locks the table: make it CONCURRENTLY")
	case kind == "INDEX" && !alone:
		report("DROP INDEX CONCURRENTLY needs «-- +goose NO TRANSACTION»")
	}
}
