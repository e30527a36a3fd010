"""The reps' and managers' screens: tasks, customers, quotes, leads, deals, rules, metrics."""

from sales.admin import customers, metrics, pipeline, quotes, tasks

__all__ = ["customers", "metrics", "pipeline", "quotes", "tasks"]
