// Command answers writes docs/answers.md: the rule table for people to read.
package main

import (
	"fmt"
	"os"
	"strings"

	"talon.example/internal/booking"
)

func main() {
	var page strings.Builder
	page.WriteString(`# Every answer that is not 2xx

Written by ` + "`make gen`" + ` from the rule table, in the order of the checks: the first rule that refuses answers. Branch on the rule's name; it is
stable, while many rules share a code. Messages are for the patient, in the words of the source; what stands in braces is filled in.

| rule | HTTP | message_code | type | message |
|---|---|---|---|---|
`)
	for _, rule := range booking.Rules {
		fmt.Fprintf(&page, "| `%s` | %d | %s | %s | %s |\n", rule.Name, rule.Status, rule.Code, rule.Type, rule.Message)
	}
	if _, err := os.Stdout.WriteString(page.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
