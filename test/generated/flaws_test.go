package generated_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/sandbox"
	"talon.example/test/harness"
)

// flaw is one way to break the contract, and the expected response.
type flaw struct {
	what  string   // what is broken; flaws of one kind are interchangeable
	how   string   // how it is broken
	rules []string // the expected rule is one of these
	field string   // the field that the message must name, if any
	apply func(d *draft)
}

// addFlaw adds the flaw to a draft that its operation had least often.
func (g *generator) addFlaw(d *draft) {
	least, rarest := 1<<62, []flaw(nil)
	for _, f := range slices.Concat(g.parameterFlaws(d), g.valueFlaws(d), bodyFlaws(d), mediaFlaws(d), g.tokenFlaws(d),
		routeFlaws(d)) {
		switch n := g.broken[d.OperationID+" "+f.what]; {
		case n < least:
			least, rarest = n, []flaw{f}
		case n == least:
			rarest = append(rarest, f)
		}
	}
	d.flaw = &rarest[g.IntN(len(rarest))]
	g.broken[d.OperationID+" "+d.flaw.what]++
	d.flaw.apply(d)
	if content, ok := d.content(); ok && len(content) > d.maxBody {
		d.flaw.rules = append(slices.Clone(d.flaw.rules), "body_too_large") // long texts and a long flaw
	}
}

// parameterFlaws returns flaws of the parameters, present or missing.
func (g *generator) parameterFlaws(d *draft) []flaw {
	var found []flaw
	for _, parameter := range d.parameters {
		schema := flattened(parameter.Schema)
		add := func(what, how string, texts ...string) {
			found = append(found, flaw{
				what: parameter.Name + ": " + what, how: how, rules: []string{"field_invalid"}, field: parameter.Name,
				apply: func(d *draft) {
					d.removeArgument(parameter.Name)
					d.arguments = append(d.arguments, &argument{parameter, texts})
				},
			})
		}
		good := g.argument(parameter, d.facts.lookup)
		item := schema
		if hasType(schema, "array") {
			item = flattened(schema.Items)
			if schema.MaxItems != nil {
				add("maxItems", "", slices.Repeat(good[:1], int(*schema.MaxItems)+1)...)
			}
		} else if parameter.In != openapi3.ParameterInPath {
			add("given twice", "", good[0], good[0])
		}
		notUTF8 := invalidValue{"not UTF-8", marker + "\xff", "not UTF-8"}
		for _, invalid := range append(invalidParameterTexts(item), notUTF8) {
			if text := invalid.value.(string); reachesServer(parameter.In, text) {
				add(invalid.violates, invalid.what, text)
			}
		}
		if parameter.In != openapi3.ParameterInPath {
			add("empty", "", "")
			if parameter.Required {
				add("not given", "")
			}
		}
		if parameter.In == openapi3.ParameterInQuery {
			for _, value := range []string{"%zz", "%", "%ff", "%00", "x%", "a;b"} {
				found = append(found, flaw{
					what: parameter.Name + ": not decodable", how: value,
					rules: []string{"field_invalid"}, field: parameter.Name,
					apply: func(d *draft) {
						d.removeArgument(parameter.Name)
						d.query = append(d.query, parameter.Name+"="+value)
					},
				})
			}
		}
	}
	return found
}

// removeArgument removes a parameter from the draft.
func (d *draft) removeArgument(name string) {
	d.arguments = slices.DeleteFunc(d.arguments, func(a *argument) bool { return a.Name == name })
}

// reachesServer reports whether HTTP transmits a text in this kind of parameter unchanged.
func reachesServer(in, text string) bool {
	switch in {
	case openapi3.ParameterInHeader:
		return text == strings.TrimSpace(text) && !strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r == 0x7f
		})
	case openapi3.ParameterInPath:
		return text != ""
	default:
		return true
	}
}

// valueFlaws returns flaws of single values of the body.
func (g *generator) valueFlaws(d *draft) []flaw {
	if !d.hasFields {
		return nil
	}
	var found []flaw
	add := func(what, how, field, rule string, do func()) {
		found = append(found, flaw{what, how, []string{rule}, field, func(*draft) { do() }})
	}
	for _, n := range nodes("", flattened(d.body), d.fields, func(any) {}) {
		if o, ok := n.value.(*object); ok {
			g.objectFlaws(n, o, add)
		}
		if n.at == "" {
			continue // bodyFlaws breaks the whole body
		}
		for _, m := range g.invalidValues(n.schema) {
			add(n.at+": "+m.violates, m.what, n.at, "field_invalid", func() { n.set(m.value) })
		}
		for _, text := range notJSON {
			rule := "body_malformed"
			if len(text.value) > d.maxBody {
				rule = "body_too_large"
			}
			add("not JSON", n.at+": "+text.what, n.at, rule, func() { n.set(text.value) })
		}
		for _, huge := range []string{"1e400", "-1e400", "1" + strings.Repeat("0", 5000)} {
			found = append(found, flaw{"a huge number", n.at, []string{"field_invalid", "body_malformed"}, "",
				func(*draft) {
					n.set(raw(huge))
				}})
		}
		for _, nested := range []string{
			strings.Repeat("[", 200) + strings.Repeat("]", 200),
			strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
		} {
			add("nested", n.at, n.at, "field_invalid", func() { n.set(raw(nested)) })
		}
	}
	return found
}

// objectFlaws returns flaws of the member names of an object.
func (g *generator) objectFlaws(n node, o *object, add func(what, how, field, rule string, do func())) {
	within := func(key string) string { return strings.TrimPrefix(n.at+"."+key, ".") }
	for _, key := range n.schema.Required {
		add(within(key)+": not given", "", within(key), "field_invalid", func() {
			o.members = slices.DeleteFunc(o.members, func(m member) bool { return m.name == key })
		})
	}
	for _, key := range []string{marker, "", "ключ", "__proto__", "$ref", "x y"} {
		add("unknown", key, within(key), "field_invalid", func() {
			o.members = slices.Insert(o.members, g.IntN(len(o.members)+1), member{key, marker})
		})
	}
	for i, m := range o.members {
		for _, folded := range []string{
			strings.ToUpper(m.name), strings.ToLower(m.name), strings.ToLower(m.name[:1]) + m.name[1:], m.name + " ",
		} {
			if n.schema.Properties[folded] != nil {
				continue
			}
			add(m.name+": misspelled", folded, within(folded), "field_invalid", func() {
				o.members = append(o.members, member{folded, m.value})
			})
			if !slices.Contains(n.schema.Required, m.name) {
				add(m.name+": misspelled", folded+" instead", within(folded), "field_invalid", func() {
					o.members[i].name = folded
				})
			}
		}
		add("given twice", m.name, m.name, "body_malformed", func() { o.members = append(o.members, m) })
	}
}

// bodyFlaws returns bodies that are no JSON object, or too large.
func bodyFlaws(d *draft) []flaw {
	if !d.hasFields {
		return nil
	}
	var found []flaw
	add := func(what, rule string, change func(text string) string) {
		found = append(found, flaw{what, "", []string{rule}, "", func(d *draft) {
			text, _ := d.content()
			text = change(text)
			d.text = &text
		}})
	}
	for _, text := range []string{
		"", " \r\n", "null", "[]", "1", `"` + marker + `"`, "true", "{", "}", "{}{}", "\x00", "\xff\xfe{\x00}\x00",
		marker, "a=1&b=2", "<a/>", strings.Repeat("[", min(20_000, d.maxBody)),
	} {
		if text == "" && !d.bodyRequired {
			continue // an absent body is allowed
		}
		add(fmt.Sprintf("the body %.20q", text), "body_malformed", func(string) string { return text })
	}
	add("a list of the body", "body_malformed", func(text string) string { return "[" + text + "]" })
	add("the body twice", "body_malformed", func(text string) string { return text + text })
	add("the body cut short", "body_malformed", func(text string) string { return text[:len(text)-1] })
	add("a comma at the end", "body_malformed", func(text string) string { return text[:len(text)-1] + ",}" })
	add("a comment", "body_malformed", func(text string) string { return text + "//" + marker })
	add("a byte order mark", "body_malformed", func(text string) string { return "\ufeff" + text })
	add("a NUL at the end", "body_malformed", func(text string) string { return text + "\x00" })
	add("one byte too large", "body_too_large", func(text string) string {
		return text + strings.Repeat(" ", d.maxBody+1-len(text))
	})
	return found
}

// mediaFlaws returns media types that the service does not accept.
func mediaFlaws(d *draft) []flaw {
	if !d.hasFields {
		return nil
	}
	var found []flaw
	for _, header := range []http.Header{
		{}, {"Content-Type": {""}}, {"Content-Type": {"text/plain"}},
		{"Content-Type": {"application/x-www-form-urlencoded"}},
		{"Content-Type": {"multipart/form-data; boundary=x"}}, {"Content-Type": {"application/xml"}},
		{"Content-Type": {"application/json5"}},
		{"Content-Type": {"application/problem+json"}}, {"Content-Type": {"application/*"}},
		{"Content-Type": {"application/json; charset"}},
		{"Content-Type": {"application/json; charset=windows-1251"}},
		{"Content-Type": {"application/json; charset=utf-16"}},
		{"Content-Type": {"application/json, text/plain"}},
		{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		{"Content-Type": {"application/json"}, "Content-Encoding": {"br"}},
	} {
		found = append(found, flaw{"the media type", fmt.Sprint(header), []string{"media_type_unsupported"}, "",
			func(d *draft) {
				d.header.Del("Content-Type")
				for name, values := range header {
					d.header[name] = values
				}
			}})
	}
	return found
}

// tokenFlaws returns flaws of the credentials.
func (g *generator) tokenFlaws(d *draft) []flaw {
	var found []flaw
	add := func(what, rule string, authorization ...string) {
		found = append(found, flaw{what, "", []string{rule}, "", func(d *draft) { d.authorization = authorization }})
	}
	switch scheme := harness.ContractDoc().Components.SecuritySchemes[d.security]; {
	case scheme == nil:
	case scheme.Value.Scheme == "bearer", scheme.Value.Type == "oauth2":
		caller, other := d.caller(), regionCaller
		if caller.IsSystem() {
			other = auth.Caller{Person: d.facts.person, Client: d.facts.client}
		}
		add("a token of the other kind", "token_invalid",
			"Bearer "+g.tokenOf(other, "issuer", "talon", harness.Moment, 12*time.Hour))
		good := g.authorization(d)[0]
		add("no token", "token_missing")
		add("no token after its scheme", "token_missing", "Bearer ")
		add("a token without its scheme", "token_missing", strings.TrimPrefix(good, "Bearer "))
		add("another scheme", "token_missing", basic(d.facts.client.String(), sandbox.ClientSecret))
		add("two tokens", "token_missing", good, good)
		add("garbage", "token_invalid", "Bearer "+marker)
		add("garbage in three parts", "token_invalid", "Bearer "+marker+"."+marker+"."+marker)
		add("garbage that is not UTF-8", "token_invalid", "Bearer \xff\xfe")
		add("a long token", "token_invalid", "Bearer "+strings.Repeat("a", 20_000))
		add("another issuer's token", "token_invalid",
			"Bearer "+g.tokenOf(caller, marker, "talon", harness.Moment, 12*time.Hour))
		add("a token for another audience", "token_invalid",
			"Bearer "+g.tokenOf(caller, "issuer", marker, harness.Moment, 12*time.Hour))
		add("a token of tomorrow", "token_invalid",
			"Bearer "+g.tokenOf(caller, "issuer", "talon", harness.Moment.Add(24*time.Hour), time.Hour))
		add("a token of yesterday", "token_expired",
			"Bearer "+g.tokenOf(caller, "issuer", "talon", harness.Moment.Add(-24*time.Hour), time.Hour))
		add("a token without its signature", "token_signature_invalid", good[:strings.LastIndexByte(good, '.')+1])
		stranger := g.tokenOf(auth.Caller{Person: uuid.Max, Client: d.facts.client}, "issuer", "talon", harness.Moment,
			12*time.Hour)
		add("another token's signature", "token_signature_invalid",
			good[:strings.LastIndexByte(good, '.')]+stranger[strings.LastIndexByte(stranger, '.'):])
	case scheme.Value.Scheme == "basic":
		client := d.facts.client.String()
		good := basic(client, sandbox.ClientSecret)
		for _, bad := range [][]string{
			nil, {""}, {"Basic"}, {"Basic " + marker}, {"Basic \xff"}, {good, good},
			{strings.TrimPrefix(good, "Basic ")}, {basic(client, "")}, {basic(client, marker)},
			{basic(client, sandbox.ClientSecret+"\x00")}, {basic(client+"\xff", sandbox.ClientSecret)},
			{basic("", sandbox.ClientSecret)},
			{basic(marker, sandbox.ClientSecret)}, {basic(uuid.Nil.String(), sandbox.ClientSecret)},
			{basic(d.facts.person.String(), sandbox.ClientSecret)},
			{"Bearer " + g.tokenOf(d.caller(), "issuer", "talon", harness.Moment, 12*time.Hour)},
		} {
			add("the client application", "client_unauthenticated", bad...)
		}
	}
	return found
}

// routeFlaws returns methods and paths that do not exist.
func routeFlaws(d *draft) []flaw {
	var found []flaw
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		if !slices.Contains(d.others, method) {
			found = append(found, flaw{"the method", method, []string{"method_not_allowed"}, "", func(d *draft) {
				d.verb = method
			}})
		}
	}
	for what, change := range map[string]func(path string) string{
		"a slash at the end":   func(path string) string { return path + "/" },
		"two slashes in front": func(path string) string { return "/" + path },
		"further segments":     func(path string) string { return path + "/" + marker + "/x/y" },
		"a dot in front":       func(path string) string { return "/." + path },
		"two dots in front":    func(path string) string { return "/x/.." + path },
		"an encoded slash":     func(path string) string { return "/" + url.PathEscape(path[1:]+"/") + "/a/b/c" },
		"a long segment": func(path string) string {
			return path + "/" + strings.Repeat("z", 20_000) + "/x/y"
		},
		"another segment in front": func(path string) string { return "/" + marker + path },
		"another path, not UTF-8":  func(path string) string { return "/%ff" + path },
	} {
		found = append(found, flaw{"the path", what, []string{"route_not_found"}, "", func(d *draft) {
			d.route = change
		}})
	}
	slices.SortFunc(found, func(a, b flaw) int { return strings.Compare(a.how, b.how) })
	found = append(found, flaw{"the path", "capitals", []string{"route_not_found"}, "", func(d *draft) {
		d.template = upperCasePath(d.template)
	}})
	return found
}

// upperCasePath converts a path to upper case, apart from the names of its parameters.
func upperCasePath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if !strings.HasPrefix(part, "{") {
			parts[i] = strings.ToUpper(part)
		}
	}
	return strings.Join(parts, "/")
}
