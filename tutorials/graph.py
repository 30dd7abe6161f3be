# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Which nodes does a graph network rest on?
#
# A graph network mixes the features of neighbours, so the score of a node depends on other nodes, and that of a graph
# on all of them. Here a network of two graph convolutions learns two things that we planted, so that we can check what
# explainers find: of a **node**, the source in its community; of a **graph**, a group of nodes that are all linked.

# %%
import torch
from torch import Tensor, nn

from pnpxai.explainers import LRP, DeepLift, GradientXInput, IntegratedGradients
from pnpxai.pictures.plot import Plot


class GraphConvolution(nn.Module):
    """Adds up what neighbours say, and what the node says itself: ``relu(A x W + x V + b)``."""

    def __init__(self, width, out):
        super().__init__()
        self.neighbours, self.own = nn.Linear(width, out, bias=False), nn.Linear(width, out)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        sources, ends = edges
        return self.own(x).index_add(0, ends, self.neighbours(x)[sources]).relu()


class GraphNet(nn.Module):
    """Two convolutions and a head: scores (nodes, classes), or (1, classes) of the whole graph."""

    def __init__(self, width, classes, whole):
        super().__init__()
        self.first, self.second = GraphConvolution(width, 16), GraphConvolution(16, 16)
        self.head, self.whole = nn.Linear(16, classes), whole

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        x = self.second(self.first(x, edges), edges)
        return self.head(x.mean(0, keepdim=True) if self.whole else x)


def linked(pairs):
    """Return (2, edges) with each pair in both directions."""
    edges = torch.tensor(sorted(pairs)).T
    return torch.cat([edges, edges.flip(0)], 1)


def train(model, examples, steps=300):
    """Fit a model to (x, edges, classes)."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(steps):
        x, edges, y = examples[step % len(examples)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, edges), y).backward()
        optimizer.step()
    return model.eval()


draws = torch.Generator().manual_seed(0)


def uniform(*shape):
    return torch.rand(shape, generator=draws)


# %% [markdown]
# ## Nodes
#
# Twenty communities of six nodes: a ring with a few chords, and a link to the next community. One node of each
# community is its source: its first feature is +1 or -1, that of the others nearly 0. The class of every node is the
# sign of the source in its community.


# %%
def communities(count=20, size=6):
    """Return (x, edges, classes) and (nodes,) the source of each node's community."""
    pairs, x, source = set(), 0.1 * torch.randn(count * size, 4, generator=draws), torch.zeros(count * size).long()
    signs = uniform(count) > 0.5
    for k in range(count):
        own = torch.arange(size) + k * size
        pairs |= {(int(own[a]), int(own[b])) for a in range(size) for b in range(a) if (a - b) in (1, 2, size - 1)}
        pairs |= {(int(own[0]) - 1, int(own[0]))} if k else set()
        source[own] = own[int(uniform(1) * size)]
        x[source[own[0]], 0] = 1.0 if signs[k] else -1.0
    return (x, linked(pairs), signs.long().repeat_interleave(size)), source


torch.manual_seed(0)
known = [communities()[0] for _ in range(10)]
of_nodes = train(GraphNet(4, 2, whole=False), known)
(x, edges, classes), source = communities()
right = (of_nodes(x, edges).argmax(1) == classes).float().mean()
print(f"{right:.0%} of the nodes of a new graph are told")

# %% [markdown]
# The score of *one* node is a function of the output: `output[node, k]`, as one row. The model runs the whole graph in
# every pass: pnpxai runs it once alone and once stacked, sees that rows depend on each other, and stacks nothing.


# %%
class OfNode(nn.Module):
    """The scores (1, classes) of one node."""

    def __init__(self, model, node):
        super().__init__()
        self.model, self.node = model, node

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.model(x, edges)[self.node : self.node + 1]


def shares(explainer, model, x, edges, target):
    """Return (nodes,) the attributions of the nodes: the sums over their features."""
    made = explainer(model, forward_arg_extractor=lambda b: b[0], additional_forward_arg_extractor=lambda b: b[1])
    return made.attribute((x, edges), target).sum(1)


def found(maps, truths):
    """Return the mean share of true nodes among as many nodes with the largest values."""
    hits = [t[m.abs().topk(int(t.sum())).indices].float().mean() for m, t in zip(maps, truths, strict=True)]
    return float(torch.stack(hits).mean())


asked = range(0, len(x), 7)
truths = [torch.arange(len(x)) == source[node] for node in asked]
chance = found([uniform(len(x)) for _ in asked], truths)
for explainer in (GradientXInput, IntegratedGradients, DeepLift, LRP):
    maps = [shares(explainer, OfNode(of_nodes, node), x, edges, int(classes[node])) for node in asked]
    print(f"{explainer.__name__}, a node: rank accuracy {found(maps, truths):.2f}, of a random map {chance:.2f}")

# %% [markdown]
# ## Graphs
#
# Twenty-four nodes, linked at random; five of them are all linked to each other. These five carry the mark of the class
# (feature 0 or 1), and five others, which are not linked to each other, the mark of the other class. So marks alone say
# nothing; the network must find who is linked to whom.


# %%
def graph(size=24, group=5):
    """Return (x, edges, class) and (nodes,) which nodes are all linked."""
    order = torch.randperm(size, generator=draws)
    own, decoys, k = order[:group], order[group : 2 * group], int(uniform(1) > 0.5)
    pairs = {(int(a), int(b)) for a in own for b in own if a < b}
    apart = {tuple(sorted((int(a), int(b)))) for a in decoys for b in decoys}
    ends = torch.randint(size, (30, 2), generator=draws).sort(1).values.tolist()
    pairs |= {(a, b) for a, b in ends if a != b and (a, b) not in apart}
    x = 0.1 * torch.randn(size, 4, generator=draws)
    x[own, k] += 1
    x[decoys, 1 - k] += 1
    return (x, linked(pairs), torch.tensor([k])), torch.zeros(size).bool().index_fill(0, own, True)


torch.manual_seed(0)
of_graphs = train(GraphNet(4, 2, whole=True), [graph()[0] for _ in range(400)], 1500)
new = [graph() for _ in range(30)]
right = [float(of_graphs(x, edges).argmax(1) == y) for (x, edges, y), _ in new]
print(f"{sum(right) / len(right):.0%} of new graphs are told")

# %%
truths = [truth for _, truth in new]
chance = found([uniform(len(truth)) for truth in truths], truths)
for explainer in (GradientXInput, IntegratedGradients, DeepLift, LRP):
    maps = [shares(explainer, of_graphs, x, edges, int(y)) for (x, edges, y), _ in new]
    print(f"{explainer.__name__}, a graph: rank accuracy {found(maps, truths):.2f}, of a random map {chance:.2f}")

# %% [markdown]
# ## See it
#
# One graph: red nodes speak for the class, blue ones against it; the planted group has a ring.

# %%
(x, edges, y), truth = new[0]
values = shares(IntegratedGradients, of_graphs, x, edges, int(y))
angles = torch.linspace(0, 6.283, len(x) + 1)[:-1]
places = torch.stack([angles.cos(), angles.sin()], 1)[truth.int().argsort(stable=True).argsort()]
figure = Plot(figsize=(5, 5), layout="constrained")
axes = figure.subplots()
for a, b in edges.T.tolist():
    axes.plot(*places[[a, b]].T, color="0.85", linewidth=0.8, zorder=0)
deepest = float(values.abs().max())
axes.scatter(*places.T, c=values, cmap="RdBu_r", vmin=-deepest, vmax=deepest, s=160, edgecolors="0.6")
axes.scatter(*places[truth].T, s=300, facecolors="none", edgecolors="black")
axes.set_axis_off()
figure.savefig("graph.png", dpi=120)
print("written: graph.png")
