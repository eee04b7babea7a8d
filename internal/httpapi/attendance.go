package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// PutAttendance stores what became of a visit.
func (h *handlers) PutAttendance(
	ctx context.Context, request api.PutAttendanceRequestObject,
) (api.PutAttendanceResponseObject, error) {
	if refusal := rejectZero(guidField{"appointmentGuid", request.AppointmentGUID}); refusal != nil {
		return nil, refusal
	}
	attended, err := h.clinic.Attend(
		ctx, request.LpuGUID, request.AppointmentGUID, booking.Attendance(request.Body.Attendance),
	)
	if err != nil {
		return nil, err
	}
	return api.PutAttendance200JSONResponse(visit(&attended)), nil
}
