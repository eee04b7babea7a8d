package booking

import "time"

// Attendance is what became of a visit (явка), as its institution says.
type Attendance string

// The attendances.
const (
	AttendanceNone      Attendance = "none" // the institution says nothing
	AttendanceArrived   Attendance = "arrived"
	AttendanceFulfilled Attendance = "fulfilled" // the visit took place
	AttendanceNoShow    Attendance = "no_show"
)

const (
	correctionTime = 24 * time.Hour // how long an attendance can be corrected after it was first set
	// attendanceLimit is how long after the end of a visit its institution can set its attendance
	// or cancel it.
	attendanceLimit = 30 * 24 * time.Hour
)

// RejectAttendance returns the refusal of setting the visit's attendance, or nil if it can be set.
// The visit is active, and zone is that of its institution.
func (v *BookedVisit) RejectAttendance(wanted Attendance, now time.Time, zone *time.Location) *Refusal {
	if wanted == v.Attendance {
		return nil
	}
	day := StartOfDay(v.Start.In(zone), zone)
	if now.Before(day) || wanted == AttendanceNoShow && !v.begun(now) {
		return Reject(AttendanceEarly)
	}
	correction := v.Attendance != AttendanceNone &&
		(v.Attendance != AttendanceArrived || wanted != AttendanceFulfilled)
	if correction && now.After(v.AttendanceSince.Add(correctionTime)) || now.After(v.End.Add(attendanceLimit)) {
		return Reject(AttendanceFinal)
	}
	return nil
}
