package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/auth"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/webhook"
)

// Config contains all settings of an instance, each from one environment variable.
// docs/configuration.md lists them.
type Config struct {
	Addr           string        `env:"TALON_ADDR" envDefault:"127.0.0.1:8080"`
	LogLevel       slog.Level    `env:"TALON_LOG_LEVEL" envDefault:"info"`
	Timeout        time.Duration `env:"TALON_REQUEST_TIMEOUT"`
	MaxInFlight    int           `env:"TALON_MAX_IN_FLIGHT" envDefault:"256"`
	MaxConns       int           `env:"TALON_MAX_CONNS" envDefault:"2048"`
	PersonRate     int           `env:"TALON_PERSON_RATE" envDefault:"10"`
	PersonInFlight int           `env:"TALON_PERSON_MAX_IN_FLIGHT" envDefault:"4"`
	ClientRate     int           `env:"TALON_CLIENT_RATE" envDefault:"1000"`
	ShutdownDelay  time.Duration `env:"TALON_SHUTDOWN_DELAY" envDefault:"5s"`
	AdminAddr      string        `env:"TALON_ADMIN_ADDR"`
	Docs           bool          `env:"TALON_DOCS" envDefault:"true"`
	// KeepTokens lets the documentation store tokens in the browser. It has no variable, so that
	// only the sandbox can set it.
	KeepTokens  bool     `env:"-"`
	CORSOrigins []string `env:"TALON_CORS_ORIGINS"`

	DatabaseURL    Secret `env:"DATABASE_URL"`
	DatabaseConns  int32  `env:"TALON_DATABASE_MAX_CONNS" envDefault:"8"`
	MigrateAtStart bool   `env:"TALON_MIGRATE" envDefault:"true"`
	ReadURL        Secret `env:"TALON_READ_DATABASE_URL"`

	TokenIssuer   string        `env:"TALON_TOKEN_ISSUER"`
	TokenAudience string        `env:"TALON_TOKEN_AUDIENCE"`
	TokenMaxLife  time.Duration `env:"TALON_TOKEN_MAX_LIFE" envDefault:"24h"`
	JWKSURL       Address       `env:"TALON_JWKS_URL"`
	JWKSFile      string        `env:"TALON_JWKS_FILE"`
	PEMFile       string        `env:"TALON_PEM_FILE"`
	HS256Secret   Secret        `env:"TALON_HS256_SECRET"`

	AuthKeyFile   string        `env:"TALON_AUTH_KEY_FILE"`
	AuthTokenLife time.Duration `env:"TALON_AUTH_TOKEN_LIFE" envDefault:"1h"`
	AuthTokenURL  Address       `env:"TALON_AUTH_TOKEN_URL"`

	MipURL              Address       `env:"TALON_MIP_URL"`
	MipAuthURL          Address       `env:"TALON_MIP_AUTH_URL"`
	MipClientID         string        `env:"TALON_MIP_CLIENT_ID"`
	MipClientSecret     Secret        `env:"TALON_MIP_CLIENT_SECRET"`
	MipScopes           []string      `env:"TALON_MIP_SCOPES"`
	MipIdentifierSystem string        `env:"TALON_MIP_IDENTIFIER_SYSTEM" envDefault:"urn:ietf:rfc:3986"`
	MipSnilsSystem      string        `env:"TALON_MIP_SNILS_SYSTEM" envDefault:"urn:oid:1.2.643.2.69.1.1.1.6.223"`
	MipPolicySystem     string        `env:"TALON_MIP_POLICY_SYSTEM" envDefault:"urn:oid:1.2.643.2.69.1.1.1.6.228"`
	MipTimeout          time.Duration `env:"TALON_MIP_TIMEOUT" envDefault:"3s"`

	WebhookAddresses webhook.Addresses `env:"TALON_WEBHOOK_ADDRESSES" envDefault:"public"`

	// The standard variables of OpenTelemetry that are not left to its library.
	OtelDisabled       bool    `env:"OTEL_SDK_DISABLED"`
	OtelExporter       string  `env:"OTEL_TRACES_EXPORTER" envDefault:"otlp"`
	OtelProtocol       string  `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf"`
	OtelEndpoint       Address `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	OtelTracesEndpoint Address `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`

	KeepFreeCellsDays int `env:"TALON_KEEP_FREE_CELLS_DAYS" envDefault:"30"`
	KeepVisitsDays    int `env:"TALON_KEEP_VISITS_DAYS" envDefault:"0"`
	KeepReferralsDays int `env:"TALON_KEEP_REFERRALS_DAYS" envDefault:"0"`
	KeepAuditDays     int `env:"TALON_KEEP_AUDIT_DAYS" envDefault:"365"`
}

// Secret is a setting whose value is never printed.
type Secret string

// String returns a placeholder instead of the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// LogValue returns a placeholder instead of the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Address is a setting that is a URL. A password in it is not printed.
type Address string

// String returns the URL without the password.
func (a Address) String() string {
	parsed, err := url.Parse(string(a))
	if err != nil {
		return "(malformed)"
	}
	return parsed.Redacted()
}

// isHTTP reports whether it is an absolute address of http or https.
func (a Address) isHTTP() bool {
	parsed, err := url.Parse(string(a))
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != ""
}

// ReadConfig reads the settings from environment variables. Its error lists all problems, without
// the values.
func ReadConfig(environment map[string]string) (Config, error) {
	var config Config
	unreadable, err := unreadable(env.ParseWithOptions(&config, env.Options{Environment: environment}))
	if err != nil {
		return Config{}, err
	}
	if err := config.validate(unreadable); err != nil {
		return Config{}, err
	}
	return config, nil
}

// unreadable returns the variables that cannot be parsed, with their expected types.
func unreadable(err error) (map[string]string, error) {
	names := map[string]string{}
	if err == nil {
		return names, nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	for _, one := range all.Errors {
		var parse env.ParseError
		if !errors.As(one, &parse) {
			return nil, fmt.Errorf("read the settings: %w", one)
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		names[field.Tag.Get("env")] = parse.Type.String()
	}
	return names, nil
}

// validateTokens requires that the settings of tokens can be used.
func (c *Config) validateTokens(require func(ok bool, name, problem string)) {
	require(c.TokenIssuer != "", "TALON_TOKEN_ISSUER", "must be given")
	require(c.TokenAudience != "", "TALON_TOKEN_AUDIENCE", "must be given")
	require(c.JWKSURL != "" || c.JWKSFile != "" || c.PEMFile != "" || c.HS256Secret != "" || c.AuthKeyFile != "",
		"TALON_JWKS_URL, TALON_JWKS_FILE, TALON_PEM_FILE, TALON_HS256_SECRET, TALON_AUTH_KEY_FILE",
		"one must be given, to verify tokens with")
	require(c.JWKSURL == "" || auth.IsKeyURL(string(c.JWKSURL)),
		"TALON_JWKS_URL", "must be an https address, or an http address of a loopback host")
	require(c.HS256Secret == "" || len(c.HS256Secret) >= minSecret,
		"TALON_HS256_SECRET", fmt.Sprintf("must be at least %d bytes", minSecret))
	require(c.TokenMaxLife >= auth.MinLife && c.TokenMaxLife <= maxTokenLife,
		"TALON_TOKEN_MAX_LIFE", "must be between 1m and 720h")
	require(c.AuthTokenLife >= auth.MinLife && c.AuthTokenLife <= min(auth.MaxLife, c.TokenMaxLife),
		"TALON_AUTH_TOKEN_LIFE", "must be between 1m and 24h, and at most TALON_TOKEN_MAX_LIFE")
	for _, file := range []struct{ name, path string }{
		{"TALON_JWKS_FILE", c.JWKSFile}, {"TALON_PEM_FILE", c.PEMFile}, {"TALON_AUTH_KEY_FILE", c.AuthKeyFile},
	} {
		if err := canRead(file.path); file.path != "" && err != nil {
			require(false, file.name, "cannot be read: "+err.Error())
		}
	}
}

func (c *Config) validate(unreadable map[string]string) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(unreadable)) {
		problems = append(problems, fmt.Errorf("%s: cannot be read as %s", name, unreadable[name]))
	}
	require := func(ok bool, name, problem string) {
		if _, known := unreadable[name]; !ok && !known {
			problems = append(problems, fmt.Errorf("%s: %s", name, problem))
		}
	}
	_, err := net.ResolveTCPAddr("tcp", c.Addr)
	require(err == nil, "TALON_ADDR", "must be host:port")
	_, err = net.ResolveTCPAddr("tcp", c.AdminAddr)
	require(c.AdminAddr == "" || err == nil && c.AdminAddr != c.Addr,
		"TALON_ADMIN_ADDR", "must be host:port, and not that of TALON_ADDR")
	require(c.Timeout >= 0 && c.Timeout <= time.Minute, "TALON_REQUEST_TIMEOUT", "must be between 0 and 1m")
	require(c.MaxInFlight > 0, "TALON_MAX_IN_FLIGHT", "must be above 0")
	require(c.MaxConns > 0, "TALON_MAX_CONNS", "must be above 0")
	require(c.PersonRate >= 0 && c.PersonRate <= maxRate, "TALON_PERSON_RATE", "must be between 0 and 1000000")
	require(c.PersonInFlight >= 0, "TALON_PERSON_MAX_IN_FLIGHT", "must not be below 0")
	require(c.ClientRate >= 0 && c.ClientRate <= maxRate, "TALON_CLIENT_RATE", "must be between 0 and 1000000")
	require(c.ShutdownDelay >= 0 && c.ShutdownDelay <= time.Minute, "TALON_SHUTDOWN_DELAY", "must be between 0 and 1m")
	require(areOrigins(c.CORSOrigins), "TALON_CORS_ORIGINS",
		"must be * or origins as browsers send them, separated by commas: https://portal.example or "+
			"http://127.0.0.1:3000, in lower case, without a path or the default port")
	require(c.DatabaseURL != "", "DATABASE_URL", "must be given")
	_, err = pgxpool.ParseConfig(string(c.DatabaseURL))
	const address = "must be an address or words of PostgreSQL, and the files that it names readable"
	require(c.DatabaseURL == "" || err == nil, "DATABASE_URL", address)
	_, err = pgxpool.ParseConfig(string(c.ReadURL))
	require(c.ReadURL == "" || err == nil, "TALON_READ_DATABASE_URL", address)
	require(c.DatabaseConns > 0, "TALON_DATABASE_MAX_CONNS", "must be above 0")
	c.validateTokens(require)
	require(slices.Contains([]webhook.Addresses{webhook.Public, webhook.Any, webhook.Loopback}, c.WebhookAddresses),
		"TALON_WEBHOOK_ADDRESSES", "must be public, any or loopback")
	longest, err := c.longestRequest()
	if err != nil {
		return err
	}
	require(c.MipTimeout > 0 && c.MipTimeout <= longest,
		"TALON_MIP_TIMEOUT", fmt.Sprintf("must be above 0 and at most %s, the longest time of a request", longest))
	for _, address := range []struct {
		name  string
		value Address
	}{
		{"TALON_MIP_URL", c.MipURL}, {"TALON_MIP_AUTH_URL", c.MipAuthURL}, {"TALON_AUTH_TOKEN_URL", c.AuthTokenURL},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.OtelEndpoint}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.OtelTracesEndpoint},
	} {
		require(address.value == "" || address.value.isHTTP(), address.name, "must be an http or https address")
	}
	require(c.OtelExporter == "otlp" || c.OtelExporter == "none", "OTEL_TRACES_EXPORTER", "must be otlp or none")
	require(c.OtelProtocol == "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/protobuf")
	for _, kept := range []struct {
		name string
		days int
	}{
		{"TALON_KEEP_FREE_CELLS_DAYS", c.KeepFreeCellsDays}, {"TALON_KEEP_VISITS_DAYS", c.KeepVisitsDays},
		{"TALON_KEEP_REFERRALS_DAYS", c.KeepReferralsDays}, {"TALON_KEEP_AUDIT_DAYS", c.KeepAuditDays},
	} {
		require(kept.days == 0 || kept.days >= minKeptDays && kept.days <= maxKeptDays,
			kept.name, fmt.Sprintf("must be 0, or from %d to %d", minKeptDays, maxKeptDays))
	}
	require(c.KeepReferralsDays == 0 || c.KeepVisitsDays > 0 && c.KeepVisitsDays <= c.KeepReferralsDays,
		"TALON_KEEP_REFERRALS_DAYS", "must be 0 or at least TALON_KEEP_VISITS_DAYS: a visit needs its referral")
	return errors.Join(problems...)
}

// canRead returns why a file cannot be read, without its path, or nil.
func canRead(path string) error {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		_, err = file.Read(make([]byte, 1))
	}
	if reason, ok := errors.AsType[*fs.PathError](err); ok {
		return reason.Err
	}
	return err
}

// otherVariables are variables that the service does not read and that are no mistake: those of
// other commands and of tests, and those that Kubernetes sets for a Service with the name talon.
var otherVariables = regexp.MustCompile(`^TALON_(URL|TOKEN|(SANDBOX|TEST|SERVICE|PORT)_.+|PORT=tcp:.+)$`)

// unknownVariables returns the names of the variables that look like settings and are none, sorted.
func unknownVariables(environment map[string]string) []string {
	known := map[string]bool{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		known[field.Tag.Get("env")] = true
	}
	var unknown []string
	for name, value := range environment {
		if strings.HasPrefix(name, "TALON_") && !known[name] &&
			!otherVariables.MatchString(name) && !otherVariables.MatchString(name+"="+value) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// tracesURL returns the address to which traces are sent, or an empty text if they are off.
func (c *Config) tracesURL() string {
	switch {
	case c.OtelDisabled || c.OtelExporter == "none":
		return ""
	case c.OtelTracesEndpoint != "":
		return string(c.OtelTracesEndpoint)
	case c.OtelEndpoint != "":
		return strings.TrimSuffix(string(c.OtelEndpoint), "/") + "/v1/traces"
	default:
		return ""
	}
}

// minKeptDays and maxKeptDays limit how long the past is kept. The institution can still change a
// visit of the last days.
const (
	minKeptDays = 7
	maxKeptDays = 36_525
)

// longestRequest returns the longest time of a request, from the end of its body to the response.
func (c *Config) longestRequest() (time.Duration, error) {
	if c.Timeout > 0 {
		return c.Timeout, nil
	}
	longest, err := server.LongestTimeout()
	if err != nil {
		return 0, fmt.Errorf("read the limits of the operations: %w", err)
	}
	return longest, nil
}

// origin matches the origin of a page as browsers send it. They omit the default port.
var (
	origin            = regexp.MustCompile(`^https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$`)
	originDefaultPort = regexp.MustCompile(`^(http:.*:80|https:.*:443)$`)
)

// areOrigins reports whether the list is empty, contains only the wildcard, or only origins.
func areOrigins(list []string) bool {
	return slices.Equal(list, []string{server.AnyOrigin}) || !slices.ContainsFunc(list, func(text string) bool {
		return !origin.MatchString(text) || originDefaultPort.MatchString(text)
	})
}

// maxRate is the largest number of requests a second that can be a limit.
const maxRate = 1_000_000

// maxTokenLife is the upper limit of TALON_TOKEN_MAX_LIFE.
const maxTokenLife = 30 * 24 * time.Hour

// minSecret is the minimum length of an HS256 secret, in bytes: that of the hash (RFC 7518, 3.2).
const minSecret = 32

// Print writes the settings in force, one per line, with secrets hidden.
func (c Config) Print(w io.Writer) error {
	value := reflect.ValueOf(c)
	for i, field := range reflect.VisibleFields(value.Type()) {
		if field.Tag.Get("env") == "-" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s=%v\n", field.Tag.Get("env"), value.Field(i).Interface()); err != nil {
			return fmt.Errorf("print the settings: %w", err)
		}
	}
	return nil
}
