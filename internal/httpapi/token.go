package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

const tokenPath = "/auth/cod/token" //nolint:gosec // a path, not a token

// GetCodToken issues a token for the patient that the client application identifies.
func (h *handlers) GetCodToken(
	ctx context.Context, request api.GetCodTokenRequestObject,
) (api.GetCodTokenResponseObject, error) {
	shown, refusal := evidence(&request.Params)
	if refusal != nil {
		return nil, refusal
	}
	client := server.Caller(ctx).Client
	person, err := h.booking.Identify(ctx, client, shown)
	if err != nil {
		return nil, err
	}
	h.metrics.CountPerson(client, person, time.Now())
	signed, expiresAt, err := h.issuer.Issue(auth.Caller{Person: person, Client: client})
	if err != nil {
		return nil, err
	}
	return api.GetCodToken200JSONResponse{Token: signed, ExpiresAt: expiresAt, PersonGUID: person}, nil
}

// evidence reads the evidence of the patient. It rejects two kinds of evidence at once, because it
// would be unclear which one counts.
func evidence(p *api.GetCodTokenParams) (booking.Evidence, *booking.Refusal) {
	type kind struct {
		name  string
		begun bool
		read  func(*api.GetCodTokenParams) (booking.Evidence, *booking.Refusal)
	}
	var begun []kind
	for _, known := range []kind{
		{"n_pol", p.NPol != nil || p.SPol != nil || p.Birthday != nil, byPolicy},
		{"personguid", p.Personguid != nil, byPerson},
		{"mkab", p.Mkab != nil, byMkab},
		{"epgu", orDefault(p.Epgu, false) || p.Snils != nil || p.F != nil || p.N != nil || p.P != nil, bySnils},
	} {
		if known.begun {
			begun = append(begun, known)
		}
	}
	switch len(begun) {
	case 0:
		return booking.Evidence{}, booking.InvalidField("personguid", booking.ProblemNoEvidence)
	case 1:
		return begun[0].read(p)
	default:
		return booking.Evidence{}, booking.InvalidField(begun[1].name, booking.ProblemTwoEvidences)
	}
}

func byPolicy(p *api.GetCodTokenParams) (booking.Evidence, *booking.Refusal) {
	number, refusal := required("n_pol", p.NPol)
	if refusal == nil && p.Birthday == nil {
		refusal = booking.InvalidField("Birthday", booking.ProblemMissing)
	}
	if refusal != nil {
		return booking.Evidence{}, refusal
	}
	series := strings.TrimSpace(orDefault(p.SPol, ""))
	return booking.Evidence{Policy: &booking.Policy{Series: series, Number: number, BirthDate: p.Birthday.Time}}, nil
}

func byPerson(p *api.GetCodTokenParams) (booking.Evidence, *booking.Refusal) {
	if *p.Personguid == uuid.Nil {
		return booking.Evidence{}, booking.InvalidField("personguid", booking.ProblemZeroGuid)
	}
	return booking.Evidence{Person: *p.Personguid}, nil
}

func byMkab(p *api.GetCodTokenParams) (booking.Evidence, *booking.Refusal) {
	if *p.Mkab == uuid.Nil {
		return booking.Evidence{}, booking.InvalidField("mkab", booking.ProblemZeroGuid)
	}
	return booking.Evidence{Mkab: *p.Mkab}, nil
}

func bySnils(p *api.GetCodTokenParams) (booking.Evidence, *booking.Refusal) {
	if !orDefault(p.Epgu, false) {
		return booking.Evidence{}, booking.InvalidField("epgu", booking.ProblemNotEpgu)
	}
	shown := booking.Snils{Names: booking.Names{Patronymic: orDefault(p.P, "")}}
	for _, part := range []struct {
		name  string
		given *string
		to    *string
	}{{"snils", p.Snils, &shown.Digits}, {"f", p.F, &shown.Names.Surname}, {"n", p.N, &shown.Names.Name}} {
		var refusal *booking.Refusal
		if *part.to, refusal = required(part.name, part.given); refusal != nil {
			return booking.Evidence{}, refusal
		}
	}
	shown.Digits = strings.NewReplacer("-", "", " ", "").Replace(shown.Digits)
	return booking.Evidence{Snils: &shown}, nil
}

// required returns the parameter without surrounding spaces. It rejects an absent or empty value.
func required(name string, given *string) (string, *booking.Refusal) {
	if given == nil {
		return "", booking.InvalidField(name, booking.ProblemMissing)
	}
	text := strings.TrimSpace(*given)
	if text == "" {
		return "", booking.InvalidField(name, booking.ProblemEmpty)
	}
	return text, nil
}
