// Command settings prints the table of settings in Markdown. `make gen` writes it to
// docs/settings.md.
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

` + "`make gen`" + ` writes this page from the table of settings. [configuration.md](configuration.md) lists
the environment variables of an instance.

A setting is a row of the table ` + "`setting`" + ` with an owner, a code and a value. ` + "`owner_guid`" + ` is the
zero guid for the region, or the guid of the institution. If ` + "`of_client`" + ` is true, it is the guid of
the client application. A change takes effect within a second. The database rejects an unknown code,
an invalid value, and an owner that does not exist or cannot have the setting.

Systems with the scope ` + "`admin`" + ` replace all settings of an owner with ` + "`PUT /registry/settings`" + `,
` + "`PUT /registry/lpus/{lpuGuid}/settings`" + ` or ` + "`PUT /registry/clients/{clientGuid}/settings`" + `. In SQL:

` + "```sql" + `
INSERT INTO setting (owner_guid, code, value) VALUES ('00000000-0000-0000-0000-000000000000', 'DirectionExpires', 'true');
INSERT INTO setting (owner_guid, code, value, of_client) VALUES ('de300000-0003-4000-8000-000000000002', 'scheduleDays', '14', true);
` + "```" + `

If several owners have a value for a setting, **the client application's value has precedence over
the institution's value, and the institution's value over the region's value**, even if the value
with the lower precedence is stricter. The institution is the one of the booking.

` + "`GET /rules`" + ` returns which rules are enabled for the client application of the token, in an
institution or in the region.

| code | defined by | owners | values | default | rules | effect |
|---|---|---|---|---|---|---|
`)
	for _, setting := range booking.SettingTable {
		definedBy := "Talon"
		if setting.Vendor {
			definedBy = "the vendor"
		}
		defaultValue := setting.Default
		if defaultValue == "" {
			defaultValue = "none"
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
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s | %s |\n", setting.Code, definedBy,
			strings.Join(owners, ", "), setting.Values(), defaultValue, strings.Join(rules, ", "), setting.Meaning)
	}
	if _, err := os.Stdout.WriteString(page.String()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
