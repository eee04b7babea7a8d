package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// retryAfter is what clients are told to wait, in seconds, where a later try can help and nobody knows when.
const retryAfter = "1"

// refuse is the one renderer of answers that are not 2xx. Every exit leads here: no route, no method, the token, the validation, the binding, and the
// three hooks of the strict server. An error that is no refusal becomes the internal error; its text goes to the log alone.
func (s *server) refuse(c *gin.Context, err error) {
	var refusal *booking.Refusal
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled): // the client has gone, and nobody reads this
		refusal = booking.Refuse(booking.Overloaded).Because(err)
	default:
		refusal = booking.Refuse(booking.InternalError).Because(err)
	}
	c.Set(outcomeKey, refusal)
	if c.Writer.Written() {
		c.Abort()
		return
	}
	c.Header("Content-Type", "application/json") // as the generated answers have it
	switch {
	case refusal.RetryAfter > 0:
		c.Header("Retry-After", strconv.FormatFloat(math.Ceil(refusal.RetryAfter.Seconds()), 'f', 0, 64))
	case refusal.Status == http.StatusServiceUnavailable, refusal.Status == http.StatusConflict:
		c.Header("Retry-After", retryAfter)
	}
	c.AbortWithStatusJSON(refusal.Status, api.Error{
		Code:        int32(refusal.Status),
		Message:     refusal.Message,
		MessageCode: refusal.Code,
		Type:        api.ErrorType(refusal.Type),
		Rule:        api.Rule(refusal.Rule),
		RequestID:   requestID(c),
		Details:     errorDetails(refusal.Details),
	})
}

func errorDetails(details *booking.Details) *api.ErrorDetails {
	if details == nil {
		return nil
	}
	return &api.ErrorDetails{
		Appointment: existingAppointment(details.Appointment), Slots: nearestSlots(details.Slots), Holds: holds(details.Holds),
	}
}

func nearestSlots(offered []booking.OfferedSlot) *[]api.NearestSlot {
	if len(offered) == 0 {
		return nil
	}
	slots := make([]api.NearestSlot, len(offered))
	for i := range offered {
		o := &offered[i]
		slots[i] = api.NearestSlot{
			ID: o.ID, GUID: o.Cells[0].Guid, Start: o.Start().Truncate(time.Second), End: o.End().Truncate(time.Second), Resource: resource(o.Resource),
		}
	}
	return &slots
}

func existingAppointment(a *booking.ExistingAppointment) *api.ExistingAppointment {
	if a == nil {
		return nil
	}
	return &api.ExistingAppointment{GUID: a.Guid, LpuGUID: a.Lpu, Start: a.Start.Truncate(time.Second), End: a.End.Truncate(time.Second)}
}
