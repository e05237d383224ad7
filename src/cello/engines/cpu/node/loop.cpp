/* A call of a compiled loop, and its node in autograd's graph, without a word of Python between them: these
 * three files, one after the other.
 *
 * Python says once, in numbers, what is the same in all calls (recipes.py); what is out of the ordinary goes
 * the way in Python, forward by returning None, backward by calling `slow`. PyTorch's interface in C++
 * changes from version to version: so this is built where it runs, and where it cannot be, nothing is missing
 * but time. */

#include <Python.h>

#include <ATen/Dispatch.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/record_function.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/PyInterpreter.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/csrc/utils/object_ptr.h>

#include <map>
#include <memory>
#include <mutex>

namespace {

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using torch::dynamo::autograd::CompiledNodeArgs;
using torch::dynamo::autograd::SwapSavedVariables;
using Longs = std::vector<long>;

/* Numbers as Python has laid them out: each list with its length before it. */
struct Reader {
    const long *at;
    long one() { return *at++; }
    Longs list() {
        const long n = one();
        at += n;
        return Longs(at - n, at);
    }
    std::vector<Longs> lists() {
        std::vector<Longs> all(one());
        for (Longs &list : all) list = this->list();
        return all;
    }
};

/* ------------------------------------------------------------ a function in C, and memory for it */

struct Scratch {
    std::unique_ptr<char[]> workspace;
    long bytes = 0, total = -1;
    variable_list arrays; /* of so many rows, which nobody else reads */
    variable_list made;   /* what is made of what is given, see Loop */
};

struct Threads {
    void *run, *barrier; /* as pool.c has them */
    long least_work, least_weights;
};

struct Function {
    void (*run)(void *const *, const long *);
    long (*bytes)(long threads);
    long work, weights, shares;
    Longs order; /* for each pointer the place of its tensor */
    std::mutex mutex;
    std::vector<Scratch> free;

    explicit Function(Reader &read)
        : run((void (*)(void *const *, const long *))read.one()), bytes((long (*)(long))read.one()),
          work(read.one()), weights(read.one()), shares(read.one()), order(read.list()) {}

    Scratch take() {
        std::lock_guard<std::mutex> lock(mutex);
        if (free.empty()) return {};
        Scratch last = std::move(free.back());
        free.pop_back();
        return last;
    }
    void give_back(Scratch &&scratch) {
        std::lock_guard<std::mutex> lock(mutex);
        free.push_back(std::move(scratch));
    }
    void operator()(const variable_list &all, long steps, long rows, bool reverse, const Threads &pool,
                    Scratch &scratch) const {
        /* As `Library._threads` decides. */
        const long available = at::get_num_threads();
        long threads = 1, parts = 1;
        if (available > 1 && steps * rows * work >= pool.least_work) {
            const long most = shares ? shares : weights >= pool.least_weights ? available : 0;
            if (rows < available) parts = std::max(1L, std::min(most, available / std::max(1L, rows)));
            threads = rows < available ? parts * std::max(1L, rows) : available;
        }
        const long needed = bytes(threads) + 64;
        if (scratch.bytes < needed) scratch.workspace.reset(new char[scratch.bytes = needed]);
        std::vector<void *> pointers(6 + order.size());
        pointers[3] = pool.run, pointers[4] = pool.barrier;
        pointers[5] = (void *)(((uintptr_t)scratch.workspace.get() + 63) / 64 * 64);
        for (size_t i = 0; i < order.size(); i++)
            pointers[6 + i] = all[order[i]].defined() ? all[order[i]].data_ptr() : nullptr;
        const long numbers[] = {steps, rows, reverse, threads, parts, 0};
        run(pointers.data(), numbers);
    }
};

/* ------------------------------------------------------------ recipes; see recipes.py */

struct Forward : Function {
    long width; /* of the tape; 0: none */
    explicit Forward(Reader &read) : Function(read), width(read.one()) {}
};

enum { OF_Y, OF_TAPE, OF_GRAD, OF_SUM, OF_DX, OF_SCRATCH };

constexpr long LITTLE = 1 << 17; /* numbers that may be kept from call to call */
constexpr long TALL = 2048;      /* both as in gradients.py */
constexpr long SUMMED = 256;     /* as in step_table.py */

struct Backward : Function {
    Longs needs;
    bool of_start, shares;
    long widths = 0; /* of the arrays that are kept from call to call if they are little */
    long dx; /* its place among all tensors, or -1 */
    std::vector<Longs> arrays, products, sums;
    explicit Backward(Reader &read)
        : Function(read), needs(read.list()), of_start(read.one()), shares(read.one()), dx(read.one()),
          arrays(read.lists()), products(read.lists()), sums(read.lists()) {
        for (const Longs &array : arrays) widths += array[0] == OF_SCRATCH ? array[1] : 0;
    }
};

/* Some numbers of a vector that are those of another one, or have them added; see sums.py. */
struct Part {
    long made, at, given, start, count, adds, alone;
};

void put(const Tensor &to, long at, const Tensor &from, long start, long count, bool adds) {
    AT_DISPATCH_FLOATING_TYPES(to.scalar_type(), "put", [&] {
        scalar_t *into = to.data_ptr<scalar_t>() + at;
        const scalar_t *of = from.const_data_ptr<scalar_t>() + start;
        for (long i = 0; i < count; i++) into[i] = adds ? into[i] + of[i] : of[i];
    });
}

Tensor empty(c10::IntArrayRef sizes, const at::TensorOptions &options) {
    return at::detail::empty_cpu(sizes, options);
}
Tensor at_zero(c10::IntArrayRef sizes, const at::TensorOptions &options) {
    return empty(sizes, options).zero_();
}

/* A call is given x, the shared tensors, and the states if they are no zeros. The loop takes as many, but for
 * shared vectors that are made of several of those given. */
struct Loop {
    c10::DispatchKeySet keys; /* those of a tensor that does nothing of its own */
    at::TensorOptions options;
    long output;
    Threads pool;
    Longs sources; /* of each shared tensor that the loop takes: its place among those given, or -1 - its length */
    std::vector<Part> parts; /* in the order in which they are put together */
    long given = 1;          /* tensors but for the states */
    variable_list zeros, unread; /* like the states */
    std::unique_ptr<Forward> forward, taping;
    std::map<Longs, std::unique_ptr<Backward>> backward;

    Loop(Reader &read, const Tensor &like, variable_list &&states)
        : keys(like.key_set()), options(like.options()), output(read.one()), zeros(std::move(states)) {
        pool = {(void *)read.one(), (void *)read.one(), 0, 0};
        pool.least_work = read.one(), pool.least_weights = read.one(), given = read.one(), sources = read.list();
        for (const Longs &p : read.lists()) parts.push_back({p[0], p[1], p[2], p[3], p[4], p[5], p[6]});
        for (const Tensor &state : zeros) unread.push_back(empty(state.sizes(), options));
    }
    long taken() const { return 1 + sources.size(); } /* but for the states */

    bool is_plain(const Tensor &t) const {
        return keys.has_all(t.key_set()) && t.is_cpu() && t.dtype() == options.dtype();
    }
    /* What the loop needs a gradient of, where that is needed of what is given. */
    Longs needs(const Longs &of_given) const {
        if (parts.empty()) return of_given;
        Longs all = {of_given[0]};
        for (const long source : sources) all.push_back(source > 0 && of_given[source]);
        all.insert(all.end(), of_given.begin() + given, of_given.end());
        for (const Part &part : parts) all[part.made] = all[part.made] || of_given[part.given];
        return all;
    }
    variable_list operands(const variable_list &tensors, Scratch &scratch) const {
        variable_list all, plain;
        all.reserve(64);
        for (const Tensor &t : tensors) plain.push_back(t.is_contiguous() ? t : t.contiguous());
        all.push_back(plain[0]);
        const bool fresh = scratch.made.empty();
        size_t next = 0;
        for (const long source : sources) {
            if (source < 0 && fresh) scratch.made.push_back(empty({-1 - source}, options));
            all.push_back(source < 0 ? scratch.made[next++] : plain[source]);
        }
        for (const Part &p : parts) put(all[p.made], p.at, plain[p.given], p.start, p.count, p.adds);
        all.insert(all.end(), plain.begin() + given, plain.end());
        while (all.size() < taken() + 2 * zeros.size()) all.insert(all.end(), zeros.begin(), zeros.end());
        return all;
    }
    /* The gradients of what is given, out of those of what the loop takes. */
    variable_list gradients(variable_list &&taken, const variable_list &tensors, const Longs &needs) const {
        if (parts.empty()) return std::move(taken);
        variable_list found(tensors.size());
        found[0] = taken[0];
        for (size_t i = 0; i < sources.size(); i++)
            if (sources[i] > 0) found[sources[i]] = taken[1 + i];
        std::copy(taken.begin() + this->taken(), taken.end(), found.begin() + given);
        for (const Part &p : parts) {
            Tensor &own = found[p.given];
            if (!needs[p.given]) continue;
            if (p.alone) {
                own = taken[p.made];
                continue;
            }
            if (!own.defined()) own = at_zero(tensors[p.given].sizes(), options);
            put(own, p.start, taken[p.made], p.at, p.count, true);
        }
        return found;
    }
};
