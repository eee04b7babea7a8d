// Command settings writes docs/settings.md: the table of settings for people to read.
package main

import (
	"fmt"
	"os"
	"strings"

	"talon.example/internal/booking"
)

func main() {
	var page strings.Builder
	page.WriteString(`# Settings of the region, institutions and client applications

Written by ` + "`make gen`" + ` from the table of settings. (What a running instance is told by its environment: [configuration.md](configuration.md).)

A setting is a row of the table ` + "`setting`" + `: whose it is (` + "`owner_guid`" + `: the zero guid for the region, else the guid of the institution or client
application, the latter with ` + "`of_client`" + `), its code and its value. A change takes effect within a second. The database refuses a code that is not known, a
value that means nothing, and an owner who does not exist or cannot have the setting.

` + "```sql" + `
INSERT INTO setting (owner_guid, code, value) VALUES ('00000000-0000-0000-0000-000000000000', 'DirectionExpires', 'true');
INSERT INTO setting (owner_guid, code, value, of_client) VALUES ('de300000-0003-4000-8000-000000000002', 'scheduleDays', '14', true);
` + "```" + `

Where several owners have a setting, **the client application's wins, then the institution's, then the region's**, also over a stricter one. The institution is the one
that is booked in.

` + "`GET /rules`" + ` shows what is on: for the client application of the token in an institution, or in the region.

| code | whose code | owners | values | where not set | rules | what it does |
|---|---|---|---|---|---|---|
`)
	for _, setting := range booking.SettingTable {
		whose := "ours"
		if setting.Vendor {
			whose = "the vendor's"
		}
		notSet := setting.Default
		if notSet == "" {
			notSet = "none"
		}
		owners := make([]string, len(setting.Owners))
		for i, owner := range setting.Owners {
			owners[i] = string(owner)
		}
		var rules []string
		for _, rule := range setting.On {
			rules = append(rules, "`"+string(rule)+"`")
		}
		for _, rule := range setting.Off {
			rules = append(rules, "off: `"+string(rule)+"`")
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			setting.Code, whose, strings.Join(owners, ", "), setting.Values(), notSet, strings.Join(rules, ", "), setting.Meaning)
	}
	if _, err := os.Stdout.WriteString(page.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
