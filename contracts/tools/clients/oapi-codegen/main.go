// Command oapi-codegen books, is refused and cancels with a client of oapi-codegen.
package main

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/oapi-codegen/runtime/types"

	talon "talon.example/contracts/tools/clients/oapi-codegen/generated"
	"talon.example/contracts/tools/clients/story"
)

func main() { story.Main(tell) }

func tell(input story.Input) (output story.Output, err error) {
	ctx := context.Background()
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+input.Token)
		return nil
	}
	client, err := talon.NewClientWithResponses(input.BaseURL, talon.WithRequestEditorFn(authorize))
	if err != nil {
		return output, err
	}

	before, err := client.GetDirectionWithResponse(ctx, input.DirectionGUID)
	if err != nil || before.JSON200 == nil {
		return output, story.Unexpected(before, err)
	}
	referral := before.JSON200
	request := talon.AppointmentRequest{
		DirectionGuid: referral.Guid,
		DirectionType: referral.Type,
		LpuFromGuid:   referral.HolderLpuGuid,
		LpuToGuid:     input.LpuToGUID,
		SlotId:        &input.FullSlotID,
	}

	full, err := client.CreateAppointmentWithResponse(ctx, &talon.CreateAppointmentParams{}, request)
	if err != nil || full.JSON400 == nil {
		return output, story.Unexpected(full, err)
	}

	cells, err := client.ListDirectionSlotsWithResponse(ctx, input.DirectionGUID, &talon.ListDirectionSlotsParams{
		LpuGuid:  &input.LpuToGUID,
		DateFrom: &types.Date{Time: input.DateFrom.Time},
		Limit:    new(int32(1)),
	})
	if err != nil || cells.JSON200 == nil || len(cells.JSON200.Items) == 0 {
		return output, story.Unexpected(cells, err)
	}
	cell := cells.JSON200.Items[0]

	request.SlotId = nil
	request.SlotGuid = new(cell.Guid.String())
	request.VisitComment = new("oapi-codegen")
	params := talon.CreateAppointmentParams{IdempotencyKey: new(uuid.NewString())}
	visit, err := client.CreateAppointmentWithResponse(ctx, &params, request)
	if err != nil || visit.JSON200 == nil || visit.JSON200.ConsultDirection == nil {
		return output, story.Unexpected(visit, err)
	}
	appointment := visit.JSON200.ConsultDirection.Appointment
	after, err := client.GetDirectionWithResponse(ctx, input.DirectionGUID)
	if err != nil || after.JSON200 == nil {
		return output, story.Unexpected(after, err)
	}

	cancelled, err := client.CancelAppointmentWithResponse(ctx, appointment.Guid, &talon.CancelAppointmentParams{},
		talon.CancelRequest{ReasonCode: new(int32(6)), Reason: new("Пациент уезжает")})
	if err != nil || cancelled.JSON200 == nil {
		return output, story.Unexpected(cancelled, err)
	}

	output = story.Output{
		Status: referral.Status,
		Booked: [2]bool{referral.Appointment != nil, after.JSON200.Appointment != nil},
		Refused: story.Refused{
			Status:  full.StatusCode(),
			Rule:    full.JSON400.Rule,
			Details: full.JSON400.Details != nil,
		},
		StartsWithCell: appointment.Start.Equal(cell.Start),
		Cancelled:      cancelled.JSON200.MessageCode,
	}
	if blocked := cells.JSON200.BlockedBy; blocked != nil {
		output.BlockedBy = &blocked.Rule
	}
	return output, nil
}
