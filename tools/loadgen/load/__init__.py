"""One run: requests from a workload to a target, and what was seen.

plan          what is to be done, as plain data that another process can be given
closed        callers that ask again when they were answered
opened        arrivals that do not wait for anybody
recorder      latencies, a second at a time and altogether
measurement   all that one process has seen; several add up
selfcheck     whether it was the generator itself that was slow
drive         one process's run, from warm-up to measurement
workers       the same in several processes
"""
