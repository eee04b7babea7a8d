package httpapi

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

const (
	systemTokenPath = "/auth/token" //nolint:gosec // a path, not a token
	keysPath        = "/.well-known/jwks.json"
)

// GetSystemToken issues a token for the client application itself.
func (h *handlers) GetSystemToken(
	ctx context.Context, request api.GetSystemTokenRequestObject,
) (api.GetSystemTokenResponseObject, error) {
	form := request.Body
	client, err := h.authenticateForm(ctx, form)
	if err != nil {
		return nil, err
	}
	if form.GrantType != "client_credentials" {
		return nil, booking.Reject(booking.GrantTypeUnsupported)
	}
	rights, err := h.booking.GrantScopes(ctx, client, strings.Fields(orDefault(form.Scope, "")))
	if err != nil {
		return nil, err
	}
	signed, _, err := h.issuer.Issue(auth.Caller{
		Client: client, Scopes: rights.Scopes, Lpus: rights.Lpus, EveryLpu: rights.EveryLpu,
	})
	if err != nil {
		return nil, err
	}
	return api.GetSystemToken200JSONResponse{
		AccessToken: signed,
		TokenType:   api.AccessTokenTokenTypeBearer,
		ExpiresIn:   int32(h.issuer.Life().Seconds()),
		Scope:       strings.Join(rights.Scopes, " "),
	}, nil
}

// authenticateForm returns the client application that has authenticated: by Basic authentication,
// which the chain has verified, or by the form.
func (h *handlers) authenticateForm(ctx context.Context, form *api.TokenForm) (uuid.UUID, error) {
	client := server.Caller(ctx).Client
	byBasic, bySecret, byAssertion := client != uuid.Nil, form.ClientSecret != nil, form.ClientAssertion != nil
	switch {
	case byBasic && bySecret:
		return uuid.Nil, booking.InvalidField("client_secret", booking.ProblemTwoSecrets)
	case byAssertion && (byBasic || bySecret):
		return uuid.Nil, booking.InvalidField("client_assertion", booking.ProblemTwoSecrets)
	case bySecret && form.ClientID == nil:
		return uuid.Nil, booking.InvalidField("client_id", booking.ProblemMissing)
	case byAssertion && form.ClientAssertionType == nil:
		return uuid.Nil, booking.InvalidField("client_assertion_type", booking.ProblemMissing)
	case !byAssertion && form.ClientAssertionType != nil:
		return uuid.Nil, booking.InvalidField("client_assertion", booking.ProblemMissing)
	}
	unauthenticated := func(cause string) error {
		return booking.Reject(booking.ClientUnauthenticated).Because(errors.New(cause))
	}
	named, err := uuid.Parse(orDefault(form.ClientID, client.String()))
	switch {
	case err != nil:
		return uuid.Nil, unauthenticated("client_id is not a guid")
	case byBasic:
	case bySecret:
		client, err = named, h.booking.AuthenticateClient(ctx, named, *form.ClientSecret)
	case byAssertion:
		client, err = h.authenticateAssertion(ctx, *form.ClientAssertion)
	default:
		err = unauthenticated("no credentials")
	}
	if err == nil && form.ClientID != nil && named != client {
		err = unauthenticated("client_id differs from the client application of the credentials")
	}
	return client, err
}

// authenticateAssertion returns the client application that an assertion authenticates.
func (h *handlers) authenticateAssertion(ctx context.Context, raw string) (uuid.UUID, error) {
	assertion, err := h.assertions.Verify(ctx, raw, h.booking.ClientKeys)
	switch {
	case errors.Is(err, auth.ErrAssertion):
		return uuid.Nil, booking.Reject(booking.ClientUnauthenticated).Because(err)
	case err != nil:
		return uuid.Nil, err
	}
	return assertion.Client, h.booking.UseAssertion(ctx, assertion.Client, assertion.ID, assertion.Until)
}

// GetKeys returns the public key of the tokens.
func (h *handlers) GetKeys(context.Context, api.GetKeysRequestObject) (api.GetKeysResponseObject, error) {
	key := h.issuer.Key()
	return api.GetKeys200JSONResponse{Keys: []api.Jwk{
		{Kty: "EC", Crv: "P-256", X: key.X, Y: key.Y, Use: "sig", Alg: "ES256", Kid: key.ID},
	}}, nil
}
