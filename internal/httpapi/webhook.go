package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// EncodeEvent returns an event as webhooks receive it, equal to an item of ListEvents.
func EncodeEvent(e *events.Event) ([]byte, error) { return json.Marshal(event(e)) }

// ListWebhooks returns the webhooks of the client application.
func (h *handlers) ListWebhooks(
	ctx context.Context, _ api.ListWebhooksRequestObject,
) (api.ListWebhooksResponseObject, error) {
	found, err := h.webhooks.List(ctx, server.Caller(ctx).Client)
	if err != nil {
		return nil, err
	}
	body := api.WebhookList{Items: make([]api.Webhook, len(found))}
	for i := range found {
		body.Items[i] = webhook(&found[i])
	}
	return api.ListWebhooks200JSONResponse(body), nil
}

// PutWebhook adds or changes a webhook.
func (h *handlers) PutWebhook(
	ctx context.Context, request api.PutWebhookRequestObject,
) (api.PutWebhookResponseObject, error) {
	caller := server.Caller(ctx)
	if refusal := rejectZero(guidField{"webhookGuid", request.WebhookGUID}); refusal != nil {
		return nil, refusal
	}
	if lpu := request.Body.LpuGUID; lpu != nil {
		if err := h.rejectLpu(ctx, guidField{"LpuGuid", *lpu}); err != nil {
			return nil, err
		}
	}
	written := events.Webhook{
		Guid: request.WebhookGUID, Client: caller.Client, URL: request.Body.URL, Lpu: request.Body.LpuGUID,
		Types: eventTypes(request.Body.Types), Status: events.WebhookActive,
	}
	if !orDefault(request.Body.Enabled, true) {
		written.Status = events.WebhookPaused
	}
	stored, err := h.webhooks.Put(ctx, written)
	if err != nil {
		return nil, err
	}
	return api.PutWebhook200JSONResponse(webhook(&stored)), nil
}

// GetWebhook returns a webhook of the client application.
func (h *handlers) GetWebhook(
	ctx context.Context, request api.GetWebhookRequestObject,
) (api.GetWebhookResponseObject, error) {
	found, err := h.webhooks.Get(ctx, server.Caller(ctx).Client, request.WebhookGUID)
	if err != nil {
		return nil, err
	}
	return api.GetWebhook200JSONResponse(webhook(&found)), nil
}

// DeleteWebhook deletes a webhook of the client application.
func (h *handlers) DeleteWebhook(
	ctx context.Context, request api.DeleteWebhookRequestObject,
) (api.DeleteWebhookResponseObject, error) {
	if err := h.webhooks.Delete(ctx, server.Caller(ctx).Client, request.WebhookGUID); err != nil {
		return nil, err
	}
	return api.DeleteWebhook200JSONResponse(api.CancelResult{
		Code: http.StatusOK, Message: "Подписка удалена", MessageCode: "2000",
	}), nil
}

// ListWebhookKeys returns the keys that sign the events of a webhook.
func (h *handlers) ListWebhookKeys(
	ctx context.Context, request api.ListWebhookKeysRequestObject,
) (api.ListWebhookKeysResponseObject, error) {
	keys, err := h.webhooks.Keys(ctx, server.Caller(ctx).Client, request.WebhookGUID)
	if err != nil {
		return nil, err
	}
	return api.ListWebhookKeys200JSONResponse(webhookKeys(keys)), nil
}

// AddWebhookKey replaces the key of a webhook.
func (h *handlers) AddWebhookKey(
	ctx context.Context, request api.AddWebhookKeyRequestObject,
) (api.AddWebhookKeyResponseObject, error) {
	keys, err := h.webhooks.ReplaceKey(ctx, server.Caller(ctx).Client, request.WebhookGUID)
	if err != nil {
		return nil, err
	}
	return api.AddWebhookKey200JSONResponse(webhookKeys(keys)), nil
}

// attemptCursor is the encoded form of a place in the log of a webhook.
type attemptCursor struct {
	Webhook uuid.UUID `json:"webhook"`
	Before  int64     `json:"before"`
}

// ListDeliveries returns the log of a webhook.
func (h *handlers) ListDeliveries(
	ctx context.Context, request api.ListDeliveriesRequestObject,
) (api.ListDeliveriesResponseObject, error) {
	params := request.Params
	cursor, err := readCursor[attemptCursor](params.Cursor)
	if err != nil {
		return nil, err
	}
	if params.Cursor != nil && cursor.Webhook != request.WebhookGUID {
		return nil, invalidCursor(errors.New("the cursor belongs to another webhook"))
	}
	found, next, err := h.webhooks.Attempts(ctx, server.Caller(ctx).Client, request.WebhookGUID,
		orDefault(params.Failed, false), cursor.Before, int(orDefault(params.Limit, defaultLimit)))
	if err != nil {
		return nil, err
	}
	body := api.DeliveryPage{Items: make([]api.Delivery, len(found))}
	for i := range found {
		a := &found[i]
		body.Items[i] = api.Delivery{
			EventID: strconv.FormatInt(a.Event.Position, 10), Type: string(a.Type), Attempt: int32(a.Attempt),
			At: a.At.UTC(), Outcome: string(a.Outcome), HTTPStatus: wire.NilIfZero(int32(a.HTTPStatus)),
			Milliseconds: int32(a.Took.Milliseconds()),
		}
	}
	if next != 0 {
		text, err := encodeCursor(attemptCursor{request.WebhookGUID, next})
		if err != nil {
			return nil, err
		}
		body.Next = &text
	}
	return api.ListDeliveries200JSONResponse(body), nil
}

// Redeliver sends events to a webhook again.
func (h *handlers) Redeliver(
	ctx context.Context, request api.RedeliverRequestObject,
) (api.RedeliverResponseObject, error) {
	ids, since := request.Body.EventIds, request.Body.Since
	client := server.Caller(ctx).Client
	var again events.Webhook
	var err error
	switch {
	case ids == nil && since == nil:
		return nil, booking.InvalidField("EventIds", booking.ProblemNoEvents)
	case ids != nil && since != nil:
		return nil, booking.InvalidField("Since", booking.ProblemTwoEvents)
	case since != nil:
		again, err = h.webhooks.Rewind(ctx, client, request.WebhookGUID, *since)
	default:
		positions := make([]int64, len(*ids))
		for i, id := range *ids {
			if positions[i], err = strconv.ParseInt(id, 10, 64); err != nil {
				field := "EventIds." + strconv.Itoa(i)
				return nil, booking.InvalidField(field, booking.ProblemNotDelivered).Because(err)
			}
		}
		again, err = h.webhooks.Redeliver(ctx, client, request.WebhookGUID, positions)
	}
	if err != nil {
		return nil, err
	}
	return api.Redeliver200JSONResponse(webhook(&again)), nil
}

// webhook returns a webhook in the type of the contract.
func webhook(w *events.Webhook) api.Webhook {
	written := api.Webhook{
		GUID: w.Guid, URL: w.URL, Types: make([]string, len(w.Types)), LpuGUID: w.Lpu, Status: string(w.Status),
		Failures: int32(w.Failures), FailingSince: utc(orDefault(w.FailingSince, time.Time{})),
		NextAttemptAt: utc(orDefault(w.NextAt, time.Time{})), Waiting: int32(w.Waiting),
		CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(),
	}
	for i, name := range w.Types {
		written.Types[i] = string(name)
	}
	return written
}

// webhookKeys returns the keys of a webhook in the type of the contract.
func webhookKeys(keys []events.WebhookKey) api.WebhookKeys {
	body := api.WebhookKeys{Items: make([]api.WebhookKey, len(keys))}
	for i, key := range keys {
		body.Items[i] = api.WebhookKey{
			Secret: key.HMACSecret(), PublicKey: key.PublicKey(), CreatedAt: key.CreatedAt.UTC(),
			ExpiresAt: utc(orDefault(key.ExpiresAt, time.Time{})),
		}
	}
	return body
}
