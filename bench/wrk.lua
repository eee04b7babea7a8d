-- Sends each request of a file once, or again and again for some seconds. It counts the responses by
-- status and rule, and prints «answered» when all have been received or the time is over.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds, nanoseconds; } talon_time;
int clock_gettime(int clock, talon_time *time);
]]

local requests, outcomes = {}, {}
local sent, answered = 0, 0
local began
local seconds -- nil: each request once
local probed = false

local function now() -- in microseconds
  local time = ffi.new("talon_time")
  ffi.C.clock_gettime(1, time)
  return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for text in file:read("*a"):gmatch("[^\30]+") do
    requests[#requests + 1] = text
  end
  file:close()
  seconds = tonumber(arguments[2])
end

function request()
  if not probed then -- wrk calls request once before the run and does not send the result
    probed = true
    return requests[1]
  end
  began = began or now()
  sent = sent + 1
  if seconds then
    return requests[(sent - 1) % #requests + 1]
  end
  return requests[sent] or "" -- nothing left to send: the connection stays idle
end

local function ended()
  if seconds then
    return now() - began >= seconds * 1e6
  end
  return answered == #requests
end

local printed = false

function response(status, _, body)
  answered = answered + 1
  local outcome = tostring(status)
  if status ~= 200 then
    outcome = outcome .. " " .. (body:match('"rule":"([^"]*)"') or "without a rule")
  end
  outcomes[outcome] = (outcomes[outcome] or 0) + 1
  if printed or not ended() then
    return
  end
  printed = true
  print("elapsed\t" .. string.format("%d", now() - began))
  for name, count in pairs(outcomes) do
    print("outcome\t" .. name .. "\t" .. count)
  end
  print("answered")
  io.flush()
end

function done(summary, latency)
  print("p50\t" .. latency:percentile(50))
  print("p99\t" .. latency:percentile(99))
  local errors = summary.errors
  print("broken\t" .. errors.connect + errors.read + errors.write + errors.timeout)
end
