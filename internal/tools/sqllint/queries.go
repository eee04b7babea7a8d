package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// readKeys returns the distribution column of each distributed table, from the list of the project
// at root. The rows of an institution, or of a person, are on one node. Other tables have a copy on
// every node, or are on the coordinator.
func readKeys(root string) (map[string]string, error) {
	list, err := os.ReadFile(filepath.Join(root, "internal", "distribution", "tables.txt"))
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for line := range strings.Lines(string(list)) {
		line, _, _ = strings.Cut(line, "#")
		if columns := strings.Fields(line); len(columns) == 3 { // the third is the group, which others do not have
			keys[columns[0]] = columns[1]
		}
	}
	return keys, nil
}

// fanOut contains the queries that run on every node, each with the reason.
var fanOut = map[string]string{
	"IdempotencyKeySweep":   "a sweep",
	"ImportBacklog":         "read every 30 seconds",
	"ImportCountUnfinished": "a client application's imports are few, and sent rarely",
	"ImportsCutOff":         "a sweep",
	"ImportsEnded":          "a sweep",
	"ImportsWaiting":        "a worker looks for work after each chunk, and once a second",
}

// enums are the columns of enumerated types. A statement that compares one of them as text cannot
// be sent to a node as a whole.
var enums = []string{"restriction", "kind", "sex", "type"}

var (
	queryName = regexp.MustCompile(`(?m)^-- name: (\w+)`)
	narg      = regexp.MustCompile(`sqlc\.(?:n?arg)\((\w+)\)`)
	embed     = regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
	named     = regexp.MustCompile(`(^|[^@\w])@(\w+)`)
)

// lintQueries returns the findings in a file of queries. Each finding is a reason why a distributed
// database cannot run a query on one node. The queries in fanOut may omit comparisons. lintQueries
// returns an error if a query cannot be parsed.
func lintQueries(keys map[string]string, file string) ([]string, error) {
	var findings []string
	starts := queryName.FindAllStringSubmatchIndex(file, -1)
	for i, start := range starts {
		end := len(file)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := file[start[2]:start[3]]
		inQuery, err := lintQuery(keys, file[start[0]:end])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, known := fanOut[name]; known {
			if !slices.ContainsFunc(inQuery, isNotCompared) {
				findings = append(findings, name+" runs on one node: remove it from fanOut")
			}
			inQuery = slices.DeleteFunc(inQuery, isNotCompared)
		}
		for _, finding := range inQuery {
			findings = append(findings, name+": "+finding)
		}
	}
	return findings, nil
}

// isNotCompared reports whether the finding comes from lintScope.
func isNotCompared(finding string) bool { return strings.Contains(finding, "is not compared") }

// lintQuery returns the findings in one query of sqlc, sorted and without duplicates.
func lintQuery(keys map[string]string, sql string) ([]string, error) {
	sql = narg.ReplaceAllString(sql, "param_$1")
	sql = embed.ReplaceAllString(sql, "$1.*")
	sql = named.ReplaceAllString(sql, "${1}param_$2")
	statements, err := parse(sql)
	if err != nil {
		return nil, err
	}
	if len(statements) != 1 {
		return nil, fmt.Errorf("%d statements", len(statements))
	}
	var findings []string
	tree := node{statements[0].kind: statements[0].node}
	aliases := aliases(tree)
	walk(tree, func(kind string, n node) bool {
		switch kind {
		case "FuncCall":
			for _, arg := range list(at(n, "args")) {
				column := fields(arg)
				if len(column) > 0 && (column[len(column)-1] == "" || len(column) == 1 && aliases[column[0]]) {
					findings = append(findings,
						"a function takes a whole row, whose type on a node is the shard's type")
				}
			}
		case "CommonTableExpr":
			walk(n, func(kind string, _ node) bool {
				if kind == "InsertStmt" || kind == "UpdateStmt" || kind == "DeleteStmt" {
					findings = append(findings,
						"a common table expression writes: use one INSERT, UPDATE or DELETE per statement")
				}
				return true
			})
		case "TypeCast":
			if column := lastField(at(n, "arg")); slices.Contains(enums, column) && typeName(n) == "text" {
				findings = append(findings, "the enum "+column+" is compared as text")
			}
		case "InsertStmt":
			table := text(at(n, "relation", "relname"))
			if key := keys[table]; key != "" && !inserts(n, key) {
				findings = append(findings, fmt.Sprintf("%s.%s is not written", table, key))
			}
		case "SelectStmt", "UpdateStmt", "DeleteStmt":
			findings = append(findings, lintScope(keys, n)...)
		}
		return true
	})
	slices.Sort(findings)
	return slices.Compact(findings), nil
}

// aliases returns the names and aliases of a statement's tables and sub-selects.
func aliases(tree node) map[string]bool {
	names := map[string]bool{}
	walk(tree, func(kind string, n node) bool {
		switch kind {
		case "RangeVar":
			names[text(at(n, "relname"))] = true
			names[text(at(n, "alias", "aliasname"))] = true
		case "RangeSubselect":
			names[text(at(n, "alias", "aliasname"))] = true
		}
		return true
	})
	return names
}

// inserts reports whether an INSERT sets the column.
func inserts(n node, column string) bool {
	return slices.ContainsFunc(list(at(n, "cols")), func(c any) bool {
		return text(at(c, "ResTarget", "name")) == column
	})
}

// lintScope returns a finding for each table in one level of a statement whose distribution column
// is not compared with a parameter. Sub-selects are separate levels and need separate calls.
func lintScope(keys map[string]string, n node) []string {
	tables := map[string]string{} // by alias
	add := func(table any) {
		name := text(at(table, "relname"))
		alias := text(at(table, "alias", "aliasname"))
		if alias == "" {
			alias = name
		}
		tables[alias] = name
	}
	var conditions []any
	if relation := at(n, "relation"); relation != nil {
		add(relation)
	}
	var from func(any)
	from = func(item any) {
		if table := at(item, "RangeVar"); table != nil {
			add(table)
		}
		if join := at(item, "JoinExpr"); join != nil {
			from(at(join, "larg"))
			from(at(join, "rarg"))
			conditions = append(conditions, at(join, "quals"))
		}
	}
	for _, clause := range []string{"fromClause", "usingClause"} {
		for _, item := range list(at(n, clause)) {
			from(item)
		}
	}
	conditions = append(conditions, at(n, "whereClause"))

	compared := map[string]bool{}
	for _, condition := range conditions {
		conjuncts(condition, func(column []string, other any) {
			if !isParameter(other) {
				return
			}
			if len(column) == 1 && len(tables) == 1 {
				for alias := range tables {
					compared[alias+"."+column[0]] = true
				}
			}
			compared[strings.Join(column, ".")] = true
		})
	}
	var findings []string
	for alias, table := range tables {
		if key := keys[table]; key != "" && !compared[alias+"."+key] {
			findings = append(findings, fmt.Sprintf("%s.%s is not compared with a parameter", alias, key))
		}
	}
	return findings
}

// conjuncts calls visit for each comparison «column = value» or «column = ANY(value)» that the
// condition joins with AND.
func conjuncts(condition any, visit func(column []string, other any)) {
	if and := at(condition, "BoolExpr"); and != nil {
		if text(at(and, "boolop")) == "AND_EXPR" {
			for _, arg := range list(at(and, "args")) {
				conjuncts(arg, visit)
			}
		}
		return
	}
	comparison := at(condition, "A_Expr")
	if comparison == nil {
		return
	}
	operator := list(at(comparison, "name"))
	if len(operator) != 1 || text(at(operator[0], "String", "sval")) != "=" {
		return
	}
	left, right := at(comparison, "lexpr"), at(comparison, "rexpr")
	for _, pair := range [][2]any{{left, right}, {right, left}} {
		if column := fields(pair[0]); column != nil && !isParameter(pair[0]) {
			visit(column, pair[1])
		}
	}
}

// isParameter reports whether an expression is a parameter of the query, with or without a cast.
func isParameter(value any) bool {
	if cast := at(value, "TypeCast"); cast != nil {
		return isParameter(at(cast, "arg"))
	}
	column := fields(value)
	return len(column) == 1 && strings.HasPrefix(column[0], "param_")
}

// fields returns the names of a column reference, or nil for another expression. The name of a star
// is empty.
func fields(value any) []string {
	var names []string
	for _, field := range list(at(value, "ColumnRef", "fields")) {
		names = append(names, text(at(field, "String", "sval")))
	}
	return names
}

func lastField(value any) string {
	names := fields(value)
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

func typeName(cast node) string {
	names := list(at(cast, "typeName", "names"))
	if len(names) == 0 {
		return ""
	}
	return text(at(names[len(names)-1], "String", "sval"))
}
