"""Small models that edit, reuse, pass through, cache and count, each with a layer called ``here``."""

from __future__ import annotations

from torch import nn


class Model(nn.Module):
    """Three layers and a site, ``here``; a subclass says how they are put together."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.here, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.relu, self.in_place = nn.ReLU(), nn.ReLU(inplace=True)


class EditsARecordedResult(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.two(y)
        y += z
        return self.head(self.here(y) + y)


class EditsInsideARecordedCall(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.in_place(y)  # y is z
        return self.head(self.here(z) * y)


class ReadsBeforeAnEdit(Model):
    def forward(self, x):
        y = self.one(x)
        s = y.sum(1, keepdim=True)
        self.in_place(y)
        return self.head(self.here(y) * s + y)


class EditsAfterThePlace(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.here(y)
        y.mul_(2).add_(z)
        return self.head(y)


class EditsItsInput(Model):
    def forward(self, x):
        x.mul_(2)
        return self.head(self.here(self.one(x)) + x)


class CallsAModuleManyTimes(Model):
    def forward(self, x):
        y = self.relu(self.one(self.relu(self.one(x))))
        return self.head(self.relu(self.one(self.relu(self.here(y)))) + y)


class AsksForShapes(Model):
    def forward(self, x):
        y = self.one(x)
        z = self.two(y).reshape(y.shape[0], y.size(1))
        return self.head(self.here(z).view(len(y), -1))


class PassesThrough(Model):
    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, x):
        y = self.same(self.one(x))
        z = self.here(self.same(y))
        y += 1
        return self.head(z + y)


class LeavesTheSiteAside(Model):
    def forward(self, x):
        z = self.here(x)
        return self.head(self.two(self.one(x)) + z)


class ReturnsViews(Model):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()

    def forward(self, x):
        y = self.one(x)
        z = self.flat(y)
        self.in_place(z)
        return self.head(self.here(z) + y)


class MixesExamples(Model):
    def forward(self, x):
        y = self.one(x)
        return self.head(self.here(y) - self.two(y).mean(0, keepdim=True))


class HoldsAState(Model):
    def forward(self, x):
        self.seen = self.one(x)
        z = self.here(self.two(x))
        return self.head(z * self.seen)


class HasTimeFirst(Model):
    def forward(self, x):
        y = self.one(x.reshape(len(x), 2, 2).repeat(1, 1, 2).transpose(0, 1))
        return self.head(self.here(y).sum(0) * y[0])


class KeepsACache(Model):
    """What a call leaves outside of its result cannot be replayed."""

    class Writer(nn.Module):
        def forward(self, x, cache):
            cache.append(x * 2)
            return x

    class Cache(list):
        pass

    def __init__(self):
        super().__init__()
        self.writer = self.Writer()

    def forward(self, x):
        cache = self.Cache()
        y = self.writer(self.one(x), cache)
        return self.head(self.here(y) * cache[0])


class CountsItsCalls(Model):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * (1 + self.calls % 2)

    def __init__(self):
        super().__init__()
        self.counter = self.Counter()

    def forward(self, x):
        z = self.here(self.one(x))
        return self.head(self.counter(z))
