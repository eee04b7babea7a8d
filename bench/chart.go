package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// chart returns an SVG bar chart of the rates, with a group of bars for each size and the ratios to
// the minimal booking and to the limit beside the bars.
func chart(r *Report) string {
	const (
		width, left, barHeight, gap = 860, 290, 22, 6
		barWidth                    = 340
	)
	colours := map[string]string{
		Minimal: "#cbd2d9", Limit: "#9aa5b1", Booking16: "#2563eb", Booking64: "#60a5fa",
		Mixed: "#0d9488", Refusals: "#f59e0b", Full: "#fbbf24",
	}
	bars := []string{Minimal, Limit, Booking16, Booking64, Mixed, Refusals, Full}
	top := 0.0
	for _, size := range r.Sizes {
		for _, name := range bars {
			top = max(top, size.Medians[name].Rate)
		}
	}
	var body strings.Builder
	y := 64
	for _, size := range r.Sizes {
		fmt.Fprintf(&body, `<text x="20" y="%d" class="size">scale %g: %s cells, %s persons</text>`+"\n", y, size.Scale,
			thousands(size.Cells), thousands(size.Persons))
		y += 12
		for _, name := range bars {
			s := size.Medians[name]
			length := int(barWidth * s.Rate / top)
			fmt.Fprintf(&body, `<text x="%d" y="%d" class="label">%s</text>`+"\n", left-10, y+16, labels[name])
			fmt.Fprintf(&body, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s"/>`+"\n", left, y, length,
				barHeight, colours[name])
			fmt.Fprintf(&body, `<text x="%d" y="%d">%s</text>`+"\n", left+length+8, y+16, barText(size, name))
			y += barHeight + gap
		}
		y += 30
	}
	m := r.Machine
	fmt.Fprintf(&body,
		`<text x="20" y="%d" class="note">%s, %d cores, %d MiB · Linux %s · PostgreSQL %s · %s · commit %s</text>`+"\n",
		y, html.EscapeString(m.Processor), m.Cores, m.MemoryMiB, m.Kernel, m.PostgreSQL, m.Go, m.Commit)
	fmt.Fprintf(&body,
		`<text x="20" y="%d" class="note">Medians of %d rounds of %d requests, %s. `+
			`Client, service and database share the machine.</text>`+"\n",
		y+18, r.Rounds, r.Requests, m.Started.Format("2006-01-02"))
	height := y + 36
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">
<style>text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-size:17px;font-weight:600}`+
		`.size{font-weight:600}.label{text-anchor:end}.note{font-size:11px;fill:#616e7c}</style>
<rect width="%[1]d" height="%[2]d" fill="#ffffff"/>
<text x="20" y="30" class="title">`+
		`Requests per second, compared with the minimal booking and with the database's limit</text>
%s</svg>
`, width, height, body.String())
}

// barText returns the text beside a bar: the rate, the p99 if it was measured, and the ratios to
// the minimal booking and to the limit.
func barText(size *Size, name string) string {
	text := fmt.Sprintf("%.0f/s", size.Medians[name].Rate)
	if name != Minimal {
		text += fmt.Sprintf(" · p99 %.1f ms", size.Medians[name].P99)
	}
	switch name {
	case Limit:
		text += fmt.Sprintf(" · %.3f of minimal", size.LimitToMinimal)
	case Booking16:
		text += fmt.Sprintf(" · %.2f of (a), %.3f of minimal", size.Ratio16, size.ToMinimal)
	case Booking64:
		text += fmt.Sprintf(" · %.2f of (a)", size.Ratio64)
	}
	return text
}

// thousands formats a number with spaces between groups of three digits.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
