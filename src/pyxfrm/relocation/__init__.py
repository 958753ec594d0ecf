"""Moving everything that belongs to an endpoint: SAs, policies, both directions, both families, whatever happens on the way.

Theory of operation
-------------------
A *wish* says which endpoint moves where. With the *facts* of a namespace it becomes a *plan*: a frozen list of what moves, what stays and why, and why not. A plan is
carried out by a *procedure*, a generator over a closed set of *commands*, which a *driver* runs over a client, a clock and a *journal*.

Two laws shape all of it. A policy that protects packets is never absent, so nothing leaves in clear at any cut. And what a reply says is not trusted to be the
whole truth: after every pass the procedure looks at the kernel's tables, and goes on from what it sees. So the procedure that runs and the one that resumes another's work are
the same, and each ends in one of three ways: moved, as before, or lost and blocked.

What is in these files
----------------------
``wish``, ``facts``, ``footprint``    what is asked, what is seen, an SA without its keys
``belong``, ``children``, ``blocks``  which templates name which SA; Child SAs; which policy wins
``plan``, ``moves``, ``refusals``, ``strategies``  from these to a plan
``commands``, ``describe``, ``machine``, ``recovery``  the vocabulary, the table of states, the table of decisions
``steps``, ``run``, ``sight``, ``passes``, ``copies``, ``ways``  the procedure
``journal``, ``record``               what is durable
``driver``, ``ends``, ``settings``, ``dual``, ``survey``  the IO
``watch``, ``interface``              follow addresses
``tap``, ``witness``, ``report``      listen to packets, remember the steps, draw both

Nothing here but ``driver``, ``ends``, ``settings``, ``survey``, ``journal``, ``watch``, ``interface`` and ``tap`` touches the world.
"""

from pyxfrm.relocation.blocks import Guard
from pyxfrm.relocation.driver import Driver, Moment
from pyxfrm.relocation.ends import End, EngineEnd, KernelEnd
from pyxfrm.relocation.facts import Facts, Features, Owner
from pyxfrm.relocation.journal import Journal
from pyxfrm.relocation.machine import State
from pyxfrm.relocation.moves import Options, Plan, PolicyMove, SaMove, Strategy
from pyxfrm.relocation.plan import make_pair, make_plan
from pyxfrm.relocation.steps import Outcome, relocate, resume
from pyxfrm.relocation.wish import Select, Wish

__all__ = [
    "Driver",
    "End",
    "EngineEnd",
    "Facts",
    "Features",
    "Guard",
    "Journal",
    "KernelEnd",
    "Moment",
    "Options",
    "Outcome",
    "Owner",
    "Plan",
    "PolicyMove",
    "SaMove",
    "Select",
    "State",
    "Strategy",
    "Wish",
    "make_pair",
    "make_plan",
    "relocate",
    "resume",
]
