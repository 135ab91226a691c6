-- One request after another, each with the next cookie of a file that has one `Cookie` header a line.
-- Run as: wrk -s wrk.lua URL -- FILE.  It ends with one line of JSON.

local requests = {}
local turn = 0

function init(args)
   for line in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format(nil, nil, { ["Host"] = wrk.headers["Host"], ["Cookie"] = line })
   end
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "us": %d, "failed": %d, "refused": %d, "p50_us": %d, "p99_us": %d}\n',
      summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout,
      errors.status, latency:percentile(50), latency:percentile(99)))
end
