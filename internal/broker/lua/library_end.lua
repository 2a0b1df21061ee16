return {wrong = wrong, faulty = faulty, stale = stale, tally = tally, shrink = shrink, dead_session = dead_session, bury = bury,
  drop_ghost = drop_ghost, resent = resent, keep = keep}
end
