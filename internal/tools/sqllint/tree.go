package main

import (
	"encoding/json"
	"fmt"

	pgquery "github.com/wasilibs/go-pgquery"
)

// node is a node of PostgreSQL's parse tree in its JSON form.
type node = map[string]any

// statement is one SQL statement.
type statement struct {
	kind string // the type of the node, such as CreateStmt
	node node
}

// parse parses SQL and returns its statements.
func parse(sql string) ([]statement, error) {
	text, err := pgquery.ParseToJSON(sql)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var tree struct {
		Statements []struct {
			Statement map[string]node `json:"stmt"`
		} `json:"stmts"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, fmt.Errorf("read the parse tree: %w", err)
	}
	var statements []statement
	for _, s := range tree.Statements {
		for kind, n := range s.Statement {
			statements = append(statements, statement{kind, n})
		}
	}
	return statements, nil
}

// walk calls visit for every typed node below a value, parents first. It skips the children of a
// node for which visit returns false.
func walk(value any, visit func(kind string, n node) bool) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	case node:
		for key, child := range v {
			if n, ok := child.(node); ok && key[0] >= 'A' && key[0] <= 'Z' && !visit(key, n) {
				continue
			}
			walk(child, visit)
		}
	}
}

// at returns the value at a path below a node, or nil if the path does not exist.
func at(value any, path ...string) any {
	for _, name := range path {
		n, ok := value.(node)
		if !ok {
			return nil
		}
		value = n[name]
	}
	return value
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}
