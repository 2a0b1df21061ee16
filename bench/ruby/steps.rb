# The steps of ../step_*.go for Sidekiq: ruby steps.rb STEP ORDER, as the others get them, and figures printed the same way.
# What each figure means is told in ../README.md. A popped job is nowhere but in its process, so that what is active is only
# known there; one that was popped by a killed process is gone.
require "etc"
require "json"
require "sidekiq"
require "sidekiq/launcher"

QUEUE = "default"
IDLE = [QUEUE, "second", "third"].freeze
PRODUCERS = 32
BATCH = 1000
LAST_WAIT = 60
STEP = ARGV[0]
SPEC = JSON.parse(ARGV[1])
N = SPEC["n"]
CONCURRENCY = SPEC["variant"]["concurrency"]

Sidekiq.logger.level = Logger::ERROR
Sidekiq.redis = { url: "redis://#{SPEC["broker"]["addr"]}", size: CONCURRENCY + PRODUCERS + 5, network_timeout: 5 }

def clock = Process.clock_gettime(Process::CLOCK_MONOTONIC)
def wall = Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond)
def metric(name, unit, better, value) = { name: name, unit: unit, better: better, value: value }

def payload(i)
  { "user_id" => i, "email" => "someone@example.com", "subject" => "Welcome to the service", "body" => "x" * 90, "ts" => wall }
end

def quantiles(samples, prefix = "")
  s = samples.sort
  ranks = { "p50" => 0.5, "p99" => 0.99, "p99.9" => 0.999, "max" => 1 }
  ranks.delete("p99.9") if s.size < 1000
  ranks.map { |name, p| metric(prefix + name, "ms", "lower", s[[0, (p * s.size).ceil - 1].max] * 1000.0) }
end

def usage
  own = Process.times
  info = Sidekiq.redis { |c| c.info("cpu").merge(c.info("stats")) }
  { "client" => own.utime + own.stime, "server" => info["used_cpu_user"].to_f + info["used_cpu_sys"].to_f,
    "in" => info["total_net_input_bytes"].to_i, "out" => info["total_net_output_bytes"].to_i }
end

def per_job(from, to, n, prefix = "")
  %w[client server].map { |who| metric("#{prefix}#{who} CPU", "us/job", "lower", (to[who] - from[who]) * 1e6 / n) } +
    %w[in out].map { |way| metric("#{prefix}network #{way}", "bytes/job", "lower", (to[way] - from[way]) / n.to_f) }
end

# Tally counts handlers, for jobs numbered 0 to n-1.
class Tally
  attr_reader :began, :first, :made, :waited, :starts, :strays

  def initialize(n, pause = 0)
    @n, @pause, @began, @first, @made = n, pause, clock, nil, nil
    @starts, @waited, @ended, @strays, @lock = Array.new(n), Array.new(n), 0, 0, Mutex.new
  end

  def run(p)
    i = p["user_id"]
    now = clock
    @lock.synchronize do
      next @strays += 1 if i >= @n
      abort "job #{i} ran more than once" if @starts[i]
      @starts[i] = now
      @waited[i] = (wall - p["ts"]) / 1e9
      @first ||= now
      @made = p["ts"] if i.zero?
    end
    sleep @pause if @pause.positive?
    @lock.synchronize { @ended += 1 if i < @n }
  end

  def all(limit)
    deadline = clock + limit
    until @ended == @n
      abort "only #{@ended} of #{@n} ran within #{limit} s" if clock > deadline
      sleep 0.001
    end
  end
end

class BenchJob
  include Sidekiq::Worker

  class << self
    attr_accessor :tally
  end

  def perform(p) = BenchJob.tally.run(p)
end

def work(queues, tally)
  BenchJob.tally = tally
  launcher = Sidekiq::Launcher.new(Sidekiq.options.merge(queues: queues, concurrency: CONCURRENCY, timeout: 25))
  launcher.run
  launcher
end

def push(p, queue: QUEUE, delay: 0)
  item = { "class" => BenchJob, "queue" => queue, "args" => [p] }
  item["at"] = Time.now.to_f + delay if delay.positive?
  Sidekiq::Client.push(item)
end

def enqueue_many(n, callers)
  numbers = Queue.new
  n.times { |i| numbers << i }
  numbers.close
  Array.new(callers) { Thread.new { while (i = numbers.pop) do push(payload(i)) end } }.each(&:join)
end

def enqueue_batches(n, size = BATCH)
  (0...n).each_slice(size) { |is| Sidekiq::Client.push_bulk("class" => BenchJob, "queue" => QUEUE, "args" => is.map { |i| [payload(i)] }) }
end

def enqueue_at(n, rate)
  due = Queue.new
  callers = Array.new(PRODUCERS) { Thread.new { while (p = due.pop) do push(p) end } }
  began = clock
  i = 0
  while i < n
    while i < n && clock - began >= i / rate
      due << payload(i)
      i += 1
    end
    sleep 0.001
  end
  due.close
  callers.each(&:join)
end

def expect(n)
  have, other = Sidekiq.redis { |c| [c.llen("queue:#{QUEUE}"), c.zcard("schedule") + c.zcard("retry") + c.zcard("dead")] }
  abort "the queue holds #{have}, and #{other} other, not #{n}" unless have == n && other.zero?
end

def fill
  enqueue_batches(N)
  expect(N)
  []
end

def drain
  expect(N)
  pause = SPEC["handler_ns"] / 1e9
  from = usage
  tally = Tally.new(N, pause)
  launcher = work([QUEUE], tally)
  tally.all(30 + N / 1000.0)
  now = clock
  to = usage
  launcher.stop
  expect(0)
  took = now - tally.first
  rate = metric("rate", "jobs/s", "higher", N / took)
  if pause.positive?
    ideal = (N / CONCURRENCY.to_f).ceil * pause
    busy = %w[client server].sum { |who| to[who] - from[who] } / (now - tally.began) / Etc.nprocessors
    return [rate, metric("of the ideal", "%", "higher", 100 * ideal / took), metric("machine busy", "%", "lower", 100 * busy)]
  end
  [rate, metric("start to first job", "ms", "lower", (tally.first - tally.began) * 1000), *per_job(from, to, N)]
end

# warm runs a first job, number n.
def warm(tally, n)
  push(payload(n))
  deadline = clock + LAST_WAIT
  sleep 0.001 while tally.strays.zero? && clock < deadline
end

def sample(delay)
  n = SPEC["samples"]
  tally = Tally.new(n)
  launcher = work([QUEUE], tally)
  warm(tally, n)
  due = Array.new(n) do |i|
    sleep 0.01 + 0.02 * rand
    at = clock + delay
    push(payload(i), delay: delay)
    at
  end
  tally.all(delay + LAST_WAIT)
  launcher.stop
  due.each_with_index.map { |at, i| tally.starts[i] - at }
end

def latency = quantiles(sample(0))

def delayed
  late = sample(1)
  early = late.select(&:negative?)
  [*quantiles(late, "lateness "), metric("early", "jobs", "lower", early.size), metric("earliest by", "ms", "lower", -(early.min || 0) * 1000.0)]
end

def enqueue
  [["1 caller ", [1, N / 10].max, 1], ["32 callers ", N, PRODUCERS], ["batch of 1000 ", N, 0]].flat_map do |name, n, callers|
    Sidekiq.redis(&:flushall)
    from = usage
    began = clock
    callers.zero? ? enqueue_batches(n) : enqueue_many(n, callers)
    took = clock - began
    to = usage
    expect(n)
    [metric("#{name}rate", "jobs/s", "higher", n / took), *per_job(from, to, n, name)]
  end
end

# leave leaves jobs that are scheduled; other states give no figures.
def leave
  return [] unless SPEC["state"] == "scheduled"
  N.times { |i| push(payload(i), delay: 3600) }
  have = Sidekiq.redis { |c| c.zcard("schedule") }
  abort "#{have} are scheduled, not #{N}" unless have == N
  [metric("jobs", "", "lower", N)]
end

def idle
  tally = Tally.new(IDLE.size)
  launcher = work(IDLE, tally)
  IDLE.each_with_index { |queue, i| push(payload(i), queue: queue) }
  tally.all(LAST_WAIT)
  sleep 5
  puts "idle"
  $stdin.read
  launcher.stop
  []
end

def consume
  tally = Tally.new(N)
  launcher = work([QUEUE], tally)
  warm(tally, N)
  from = usage
  puts "ready"
  tally.all(LAST_WAIT + N / 1000.0)
  took = (wall - tally.made) / 1e9
  to = usage
  launcher.stop
  expect(0)
  figures = SPEC["rate"].positive? ? quantiles(tally.waited.drop(N / 10)) : [metric("rate", "jobs/s", "higher", N / took)]
  figures + per_job(from, to, N)
end

def produce
  from = usage
  began = clock
  if SPEC["rate"].positive? then enqueue_at(N, SPEC["rate"])
  elsif SPEC["batch"].positive? then enqueue_batches(N, SPEC["batch"])
  else enqueue_many(N, PRODUCERS)
  end
  took = clock - began
  [metric("sent", "jobs/s", "higher", N / took), *per_job(from, usage, N)]
end

$stdout.sync = true
Thread.abort_on_exception = true
steps = %w[fill drain latency delayed leave enqueue idle consume produce]
abort "no step #{STEP}" unless steps.include?(STEP)
puts JSON.generate(send(STEP))
exit!(0)
