-- A simulated bakery, hour by hour: its ovens and customers are coroutines on
-- a clock of their own, its sales go to a file for each day, mistakes are
-- errors that someone catches, and at the end the books are read again and
-- must agree with the till.
--
--   lua.wasm bakery.lua [hours [customers per hour]]

local hours = tonumber(arg and arg[1]) or 240
local crowd = tonumber(arg and arg[2]) or 25

math.randomseed(5, 4) -- the same day in every run

local cakes = {
  { name = "Bärentatze", price = 250, minutes = 9 },
  { name = "rye loaf", price = 420, minutes = 25 },
  { name = "poppy roll", price = 95, minutes = 6 },
  { name = "apple strudel", price = 610, minutes = 30 },
}
local by_name = {}
for _, cake in ipairs(cakes) do by_name[cake.name] = cake end

-- The scheduler: a heap of coroutines by the minute at which they go on.

local heap, order = {}, 0

local function earlier(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.order < b.order
end

local function wake_at(at, co)
  order = order + 1
  local i = #heap + 1
  local item = { at = at, order = order, co = co }
  while i > 1 and earlier(item, heap[i // 2]) do
    heap[i] = heap[i // 2]
    i = i // 2
  end
  heap[i] = item
end

local function pop()
  local first, last = heap[1], table.remove(heap)
  if #heap == 0 then return first end
  local i = 1
  while true do
    local child = 2 * i
    if child > #heap then break end
    if child < #heap and earlier(heap[child + 1], heap[child]) then child = child + 1 end
    if not earlier(heap[child], last) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = last
  return first
end

local minute = 0

local function start(f, ...)
  local args = table.pack(...)
  wake_at(minute, coroutine.create(function() return f(table.unpack(args, 1, args.n)) end))
end

local function sleep(minutes) coroutine.yield(minute + minutes) end

local function run_until(last)
  while heap[1] and heap[1].at <= last do
    local item = pop()
    minute = item.at
    local ok, at = coroutine.resume(item.co)
    if not ok then error(debug.traceback(item.co, tostring(at)), 0) end
    if coroutine.status(item.co) ~= "dead" then wake_at(at, item.co) end
  end
  minute = last
end

-- The shop.

local shelf, till = {}, { sold = 0, cents = 0, refused = 0 }
for _, cake in ipairs(cakes) do shelf[cake.name] = 40 end

local function bake(oven)
  while true do
    local scarce = cakes[1]
    for _, cake in ipairs(cakes) do
      if shelf[cake.name] < shelf[scarce.name] then scarce = cake end
    end
    sleep(scarce.minutes + oven)
    shelf[scarce.name] = shelf[scarce.name] + 24
  end
end

local Refusal = setmetatable({}, { __name = "Refusal" })
Refusal.__index = Refusal
Refusal.__tostring = function(r) return "no " .. r.cake end

local function sell(name, count)
  local cake = by_name[name]
  if not cake then error(setmetatable({ cake = name, silly = true }, Refusal)) end
  if shelf[name] < count then error(setmetatable({ cake = name }, Refusal)) end
  shelf[name] = shelf[name] - count
  return cake.price * count
end

local function file_of(day) return string.format("sales-%03d.csv", day) end

local function note(name, count, cents)
  local file = assert(io.open("sales-today.csv", "a"))
  file:write(string.format("%d;%s;%d;%d\n", minute, name, count, cents))
  file:close()
end

local function visit()
  sleep(math.random(0, 59))
  for _ = 1, math.random(1, 3) do
    local cake = cakes[math.random(#cakes)]
    local name = math.random(40) == 1 and "sachertorte" or cake.name
    local count = math.random(1, 6)
    local ok, cents = pcall(sell, name, count)
    if ok then
      till.sold, till.cents = till.sold + count, till.cents + cents
      note(name, count, cents)
    elseif getmetatable(cents) == Refusal then
      till.refused = till.refused + 1
    else
      error(cents, 0)
    end
    sleep(1)
  end
end

-- Something for the processor: a receipt tape, written and parsed with
-- patterns, and a sorted table of its words.
local function tidy_up()
  local words = {}
  for i = 1, 1200 do words[i] = string.format("%s-%04x", cakes[i % #cakes + 1].name, math.random(0, 0xffff)) end
  table.sort(words)
  local tape = table.concat(words, ",")
  local sum, digits = 0, 0
  for hex in tape:gmatch("%-(%x+)") do sum = sum + tonumber(hex, 16) end
  tape = tape:gsub("%d", function(d) digits = digits + d end):upper()
  return (sum * 31 + digits + utf8.len(tape)) % 0x10000
end

local function close_day(day)
  assert(os.rename("sales-today.csv", file_of(day)))
  if day > 7 then assert(os.remove(file_of(day - 7))) end
end

local function read_books(first, last)
  local sold, cents, lines = 0, 0, 0
  for day = first, last do
    for line in io.lines(file_of(day)) do
      local count, paid = line:match("^%d+;[^;]+;(%d+);(%d+)$")
      sold, cents, lines = sold + count, cents + paid, lines + 1
    end
  end
  return sold, cents, lines
end

-- The clock of the world may only go on.
local world, processor = os.time(), os.clock()
local function look_at_clock()
  local t, c = os.time(), os.clock()
  assert(t >= world and c >= processor, "the clock went back")
  assert(tonumber(os.date("!%Y", t)) >= 2020, "the year is wrong")
  world, processor = t, c
end

io.stdout:setvbuf("line")
start(bake, 0)
start(bake, 3)
local daily, before = {}, { sold = 0, cents = 0 }
for hour = 1, hours do
  for _ = 1, crowd do start(visit) end
  run_until(hour * 60)
  look_at_clock()
  print(string.format("day %2d %02d:00  %5d sold  %9.2f in the till  %4d refused  tape %04X",
    (hour - 1) // 24 + 1, (hour - 1) % 24, till.sold, till.cents / 100, till.refused, tidy_up()))
  if hour % 24 == 0 or hour == hours then
    local day = (hour - 1) // 24 + 1
    close_day(day)
    daily[day] = { sold = till.sold - before.sold, cents = till.cents - before.cents }
    before = { sold = till.sold, cents = till.cents }
  end
end

local last = #daily
local first = math.max(1, last - 6)
local sold, cents, lines = read_books(first, last)
local want_sold, want_cents = 0, 0
for day = first, last do
  want_sold, want_cents = want_sold + daily[day].sold, want_cents + daily[day].cents
end
print(string.format("books of days %d to %d: %d lines, %d sold, %.2f", first, last, lines, sold, cents / 100))
if sold ~= want_sold or cents ~= want_cents then
  error(string.format("the till has %d sold and %.2f", want_sold, want_cents / 100), 0)
end
print("the books agree with the till")
