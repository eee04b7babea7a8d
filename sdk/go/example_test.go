package talon_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/google/uuid"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// Books the first free cell. It tries the next one if another patient has taken the cell or the
// cell has begun.
func ExampleAnswer() {
	ctx := context.Background()
	referral := uuid.MustParse("de300000-0007-4000-8000-000100000002")

	api, err := talon.New(server, talon.Options{Token: token})
	if err != nil {
		log.Fatal(err)
	}
	free, err := talon.Answer(api.ListDirectionSlotsWithResponse(ctx, referral, nil))
	if err != nil {
		log.Fatal(err)
	}
	for _, cell := range free.Items {
		_, err := talon.Answer(api.CreateAppointmentWithResponse(ctx, nil, client.AppointmentRequest{
			DirectionGUID: referral, DirectionType: free.DirectionType,
			LpuFromGUID: free.HolderLpuGUID, LpuToGUID: cell.Lpu.GUID, SlotID: &cell.ID,
		}))
		if refusal, refused := errors.AsType[*talon.Refusal](err); refused &&
			(refusal.Rule == client.RuleSlotTaken || refusal.Rule == client.RuleSlotTimePassed) {
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("Booked:", cell.Resource.Name)
		break
	}
	// Output: Booked: Врач Невролог Первый
}

// Branches on the rule of a refusal.
func ExampleRefusal() {
	ctx := context.Background()
	api, err := talon.New(server, talon.Options{Token: token})
	if err != nil {
		log.Fatal(err)
	}
	_, err = talon.Answer(api.GetDirectionWithResponse(ctx, uuid.New()))
	if refusal, refused := errors.AsType[*talon.Refusal](err); refused {
		switch refusal.Rule {
		case client.RuleDirectionAbsent:
			fmt.Println("Referral not found:", refusal.Message)
		case client.RuleTokenExpired:
			fmt.Println("Log in again.")
		default:
			fmt.Println(refusal.Message, "Report", refusal.RequestID)
		}
	}
	// Output: Referral not found: Направление не найдено
}

// Gets a patient's token from the authorisation service, with the guid and the secret of a client
// application.
func ExampleOptions() {
	ctx := context.Background()
	patient := uuid.MustParse("de300000-0005-4000-8000-000000000002")
	application := func(_ context.Context, request *http.Request) error {
		request.SetBasicAuth("de300000-0003-4000-8000-000000000005", "demo-secret")
		return nil
	}

	var api *client.ClientWithResponses
	token := func(ctx context.Context) (string, error) {
		params := &client.GetCodTokenParams{Personguid: &patient}
		issued, err := talon.Answer(api.GetCodTokenWithResponse(ctx, params, application))
		if err != nil {
			return "", err
		}
		return issued.Token, nil
	}
	api, err := talon.New(server, talon.Options{Token: token})
	if err != nil {
		log.Fatal(err)
	}
	booked, err := talon.Answer(api.ListDirectionsWithResponse(ctx, &client.ListDirectionsParams{
		Status: &[]client.ListDirectionsParamsStatus{client.ListDirectionsParamsStatusBooked},
	}))
	if err != nil {
		log.Fatal(err)
	}
	for _, referral := range booked.Items {
		fmt.Println(referral.Number, referral.Speciality.Name)
	}
	// Output: 00000002001 Терапия
}
