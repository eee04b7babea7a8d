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
stable, while many rules share a code. Messages are for the patient, in the words of the source; what stands in braces is filled in. GET /rules answers
the same table, with what is on in an institution.

- *group*: the part of the table. The booking's order ends with ` + "`write`" + `.
- *field*: of the booking's body, which the rule is about. ` + "`SlotId`" + ` stands for ` + "`SlotGuid`" + `, too.
- *mender*: who can mend it. The patient by another choice, the registry by the patient's data or a right, the referring doctor by another referral, the
  client by another request, whoever runs the service.
- *retry*: the same request may succeed later though nobody changes anything.

| rule | group | HTTP | message_code | type | message | field | mender | retry |
|---|---|---|---|---|---|---|---|---|
`)
	for _, rule := range booking.Rules {
		retry := ""
		if rule.Retryable {
			retry = "yes"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %d | %s | %s | %s | %s | %s | %s |\n",
			rule.Name, rule.Group, rule.Status, rule.Code, rule.Type, rule.Message, rule.Field, rule.Mender, retry)
	}
	if _, err := os.Stdout.WriteString(page.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
