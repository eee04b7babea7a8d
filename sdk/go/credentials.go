package talon

import (
	"context"
	"time"

	"talon.example/sdk/go/v2/client"
)

// Credentials are those of a client application that acts for itself, such as a clinic's system.
type Credentials struct {
	ClientID string // guid of the client application
	Secret   string
	Scope    string // scopes of the tokens, separated by spaces; empty means all of the application
}

// renewal is the longest time before its expiry at which a token is replaced.
const renewal = time.Minute

// ClientCredentials returns a function for [Options.Token] that gets the tokens of a client
// application itself from the service at a base URL. It requests a token when one is needed, keeps
// it until shortly before it expires, and requests one at a time. The function returns a [*Refusal]
// if the service rejects the credentials or the scope. It is safe for concurrent use. The requests
// use the given options without their Token.
func ClientCredentials(
	server string, credentials Credentials, options Options,
) (func(ctx context.Context) (string, error), error) {
	options.Token = nil
	api, err := New(server, options)
	if err != nil {
		return nil, err
	}
	form := client.TokenForm{
		GrantType: "client_credentials", ClientID: &credentials.ClientID, ClientSecret: &credentials.Secret,
	}
	if credentials.Scope != "" {
		form.Scope = &credentials.Scope
	}
	var token string
	var renewAt time.Time
	busy := make(chan struct{}, 1)
	return func(ctx context.Context) (string, error) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		requested := time.Now()
		if token != "" && token != ctx.Value(expiredToken{}) && requested.Before(renewAt) {
			return token, nil
		}
		issued, err := Answer(api.GetSystemTokenWithFormdataBodyWithResponse(ctx, form))
		if err != nil {
			return "", err
		}
		life := time.Duration(issued.ExpiresIn) * time.Second
		token, renewAt = issued.AccessToken, requested.Add(life-min(renewal, life/2))
		return token, nil
	}, nil
}

// expiredToken is the key of the token that the service has rejected as expired, in the context of
// the call of Options.Token that replaces it.
type expiredToken struct{}
