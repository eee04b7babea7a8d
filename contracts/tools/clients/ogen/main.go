// Command ogen books, is refused and cancels with a client of ogen.
package main

import (
	"context"

	"github.com/google/uuid"

	talon "talon.example/contracts/tools/clients/ogen/generated"
	"talon.example/contracts/tools/clients/story"
)

func main() { story.Main(tell) }

// credentials implement talon.SecuritySource with the token of a patient.
type credentials string

func (c credentials) CodToken(context.Context, talon.OperationName) (talon.CodToken, error) {
	return talon.CodToken{Token: string(c)}, nil
}

func (c credentials) ClientSecret(context.Context, talon.OperationName) (talon.ClientSecret, error) {
	return talon.ClientSecret{}, nil
}

func (c credentials) SystemToken(context.Context, talon.OperationName) (talon.SystemToken, error) {
	return talon.SystemToken{}, nil
}

func tell(input story.Input) (output story.Output, err error) {
	ctx := context.Background()
	client, err := talon.NewClient(input.BaseURL, credentials(input.Token))
	if err != nil {
		return output, err
	}

	direction := talon.GUID(input.DirectionGUID)
	found, err := client.GetDirection(ctx, talon.GetDirectionParams{DirectionGuid: direction})
	before, ok := found.(*talon.PatientDirectionHeaders)
	if !ok {
		return output, story.Unexpected(found, err)
	}
	referral := before.Response
	request := talon.AppointmentRequest{
		DirectionGuid: referral.GUID,
		DirectionType: string(referral.Type),
		LpuFromGuid:   referral.HolderLpuGuid,
		LpuToGuid:     talon.GUID(input.LpuToGUID),
		SlotId:        talon.NewOptNilInt64(input.FullSlotID),
	}

	rejected, err := client.CreateAppointment(ctx, &request, talon.CreateAppointmentParams{})
	full, ok := rejected.(*talon.BadRequestHeaders)
	if !ok {
		return output, story.Unexpected(rejected, err)
	}

	listed, err := client.ListDirectionSlots(ctx, talon.ListDirectionSlotsParams{
		DirectionGuid: direction,
		LpuGuid:       talon.NewOptGUID(request.LpuToGuid),
		DateFrom:      talon.NewOptDay(talon.Day(input.DateFrom.Time)),
		Limit:         talon.NewOptInt32(1),
	})
	cells, ok := listed.(*talon.SlotPageHeaders)
	if !ok || len(cells.Response.Items) == 0 {
		return output, story.Unexpected(listed, err)
	}
	cell := cells.Response.Items[0]

	request.SlotId = talon.OptNilInt64{}
	request.SlotGuid = talon.NewOptNilString(uuid.UUID(cell.GUID).String())
	request.VisitComment = talon.NewOptNilString("ogen")
	key := talon.NewOptString(uuid.NewString())
	booked, err := client.CreateAppointment(ctx, &request, talon.CreateAppointmentParams{IdempotencyKey: key})
	visit, ok := booked.(*talon.AppointmentResultHeaders)
	if !ok || visit.Response.ConsultDirection.Null {
		return output, story.Unexpected(booked, err)
	}
	appointment := visit.Response.ConsultDirection.Value.Appointment
	found, err = client.GetDirection(ctx, talon.GetDirectionParams{DirectionGuid: direction})
	after, ok := found.(*talon.PatientDirectionHeaders)
	if !ok {
		return output, story.Unexpected(found, err)
	}

	ended, err := client.CancelAppointment(ctx, talon.NewOptCancelRequest(talon.CancelRequest{
		ReasonCode: talon.NewOptNilInt32(6),
		Reason:     talon.NewOptNilString("Пациент уезжает"),
	}), talon.CancelAppointmentParams{AppointmentGuid: appointment.GUID})
	cancelled, ok := ended.(*talon.CancelResultHeaders)
	if !ok {
		return output, story.Unexpected(ended, err)
	}

	output = story.Output{
		Status: string(referral.Status),
		Booked: [2]bool{!referral.Appointment.Null, !after.Response.Appointment.Null},
		Refused: story.Refused{
			Status:  int(full.Response.Code),
			Rule:    string(full.Response.Rule),
			Details: full.Response.Details.Set,
		},
		StartsWithCell: appointment.Start.Equal(cell.Start),
		Cancelled:      cancelled.Response.MessageCode,
	}
	if blocked, ok := cells.Response.BlockedBy.Get(); ok {
		rule := string(blocked.Rule)
		output.BlockedBy = &rule
	}
	return output, nil
}
