-- For wrk: sends requests that have been signed before, each once. Arguments: a file of them for each thread.
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  local path, body_file = arguments[1], arguments[2]
  local file = io.open(body_file, "rb")
  body = file:read("*a")
  file:close()
  lines = io.lines(arguments[2 + number])
  address = path
end

function request()
  local line = lines()
  if line == nil then
    wrk.thread:stop()
    return wrk.format("GET", "/nothing-is-left")
  end
  local id, timestamp, signature = line:match("^(%S+) (%S+) (.+)$")
  return wrk.format("POST", address, {
    ["content-type"] = "application/json",
    ["webhook-id"] = id,
    ["webhook-timestamp"] = timestamp,
    ["webhook-signature"] = signature,
  }, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
